// SPDX-License-Identifier: Apache-2.0
/// \file
/// `stream<T>`: records without keys. A stream is a handle to a place in the graph; using it twice
/// makes a fan-out. Streams must not outlive their pipeline.
#pragma once

#include <millrace/dsl/plan_words.hpp>
#include <millrace/dsl/steps_api.hpp>
#include <millrace/operators/async_operator.hpp>
#include <millrace/operators/broadcast.hpp>
#include <millrace/operators/endpoints.hpp>
#include <millrace/operators/event_time.hpp>
#include <millrace/operators/key_by.hpp>
#include <millrace/operators/merge.hpp>
#include <millrace/operators/operator.hpp>
#include <millrace/operators/signature.hpp>
#include <millrace/operators/watermark_generator.hpp>

#include <array>
#include <memory>
#include <string>
#include <utility>

namespace millrace {

template <class T, class Chain = no_steps<T>>
class stream;
template <class K, class T, class Chain = no_steps<T>>
class keyed_stream;
template <class B>
class broadcast_stream;

/// The node behind `key_by`; it knows how to send a record to the worker that owns its key.
template <class T, class K, class F>
class key_by_node final : public graph_node {
 public:
  key_by_node(F key_of, domain_id in) : graph_node("key_by", {}), key_of_(std::move(key_of)) {
    domain = in;
    parallel = true;
  }

  std::unique_ptr<subtask> make(build_context& context) override {
    return std::make_unique<key_by_subtask<T, K, F>>(key_of_, context.table<key_table<K>>(domain));
  }

  std::unique_ptr<subtask> make_partitioner(std::vector<std::shared_ptr<void>> rings) override {
    using distribution = to_key_owner<F, K>;
    const std::size_t targets = rings.size();
    return std::make_unique<channel_sender<T, distribution>>(rings_of<T>(rings),
                                                             distribution{key_of_, targets});
  }

 private:
  F key_of_;
};

/// Operations that plain and keyed streams share and that end in, or start from, a node.
template <class Derived, class T, class Chain>
class stream_api : public steps_api<Derived, T, Chain> {
 public:
  using steps_api<Derived, T, Chain>::origin;
  using steps_api<Derived, T, Chain>::core;

  /// Ends in a sink. The name identifies its state and metrics.
  template <class S>
  void to(std::string name, S sink) const {
    if constexpr (sink_for<S, T>) {
      const stream_origin from = origin();
      bool parallel = false;
      if constexpr (requires { S::parallel; }) parallel = S::parallel && core().parallel(from);
      auto keeps = delivery_of_sink(sink);
      const node_id id = core().add(
          "sink", std::move(name), parallel,
          from_prototype(std::move(sink), [](S s, build_context&) {
            return std::unique_ptr<subtask>(std::make_unique<sink_subtask<S, T>>(std::move(s)));
          }));
      core().set_delivery(id, std::move(keeps));
      core().template connect<T>(from, id);
    } else {
      static_assert(wrong<S>,
                    "to(name, sink): the sink must have open(sink_context&) returning a writer "
                    "with write(const T&, timestamp)");
    }
  }

  /// Any operator with the built-ins' own door, see operators/operator.hpp. On a plain stream it
  /// runs once; the result is not keyed.
  template <class Op>
  auto apply(std::string name, Op op) const {
    if constexpr (operator_for<Op, T>) {
      using out = typename Op::output_type;
      const stream_origin from = origin();
      const node_id id =
          core().add("operator", std::move(name), Derived::keyed && core().parallel(from),
                     from_prototype(std::move(op), [](Op o, build_context&) {
                       return std::unique_ptr<subtask>(
                           std::make_unique<operator_subtask<Op, T>>(std::move(o)));
                     }));
      core().template connect<T>(from, id);
      return stream<out>(core(), {id, 0});
    } else {
      static_assert(wrong<Op>,
                    "apply(name, op): op needs output_type and process(value, context) for this "
                    "stream's values, see operators/operator.hpp");
      return stream<T>(core(), origin());
    }
  }

  /// A reusable piece of pipeline: `f(stream)`; returns what it returns.
  template <class F>
  auto then(F&& f) const {
    return std::forward<F>(f)(static_cast<const Derived&>(*this));
  }

  /// What was emitted to a side output by the operator this stream comes from.
  template <class U>
  stream<U> side(const side_output<U>& tag) const {
    const stream_origin from = origin();
    const std::size_t port =
        core().nodes().side_port(from.node, tag.identity(), edge_type_of<U>(), tag.name());
    return stream<U>(core(), {from.node, port});
  }

  /// This stream and others of the same type as one, watermarks merged.
  template <class... Others>
  stream<T> merge(const Others&... others) const {
    static_assert((std::is_same_v<typename Others::value_type, T> && ...),
                  "merge(others...): all streams must carry the same type");
    const std::array<stream_origin, 1 + sizeof...(Others)> from{origin(), others.origin()...};
    bool parallel = true;
    for (const auto& f : from) parallel = parallel && core().parallel(f);
    const node_id id = core().add("merge", {}, parallel, [](build_context&) {
      return std::unique_ptr<subtask>(std::make_unique<merge_subtask<T>>(1 + sizeof...(Others)));
    });
    for (const auto& f : from) core().template connect<T>(f, id);
    return stream<T>(core(), {id, 0});
  }

  /// Those for which the predicate holds, and the others.
  template <class F>
  std::pair<stream<T>, stream<T>> split(F predicate) const {
    side_output<T> rest("rest");
    using op = split_operator<T, F>;
    const stream_origin from = origin();
    const node_id id =
        core().add("split", {}, core().parallel(from),
                   [predicate = std::move(predicate), rest](build_context&) {
                     return std::unique_ptr<subtask>(
                         std::make_unique<operator_subtask<op, T>>(op{predicate, rest}));
                   });
    core().template connect<T>(from, id);
    stream<T> yes(core(), {id, 0});
    return {yes, yes.side(rest)};
  }

  /// Each record together with the current value of a broadcast stream; see broadcast_stream.hpp.
  template <class B>
  auto with(const broadcast_stream<B>& values, with_options options = {}) const;

  /// Calls `f` for each record without waiting: a coroutine `f(const T&) -> awaitable<R>`, or
  /// `f(const T&, async_reply<R>)`. `lane_of(const T&)` names the peer a record is for: each has
  /// its own limit, waiting line and circuit breaker. `fallback(const T&, const error&)` takes the
  /// place of a result that could not be had. The result is not keyed.
  template <class R = void, class F, class LaneOf = one_lane>
  auto async_map(
      std::string name, F f, async_options options = {}, LaneOf lane_of = {},
      std::function<typename detail::async_result_or<R, F, T>::type(const T&, const error&)>
          fallback = {}) const;

  /// The same; R is a range whose elements are emitted.
  template <class R = void, class F, class LaneOf = one_lane>
  auto async_flat_map(
      std::string name, F f, async_options options = {}, LaneOf lane_of = {},
      std::function<typename detail::async_result_or<R, F, T>::type(const T&, const error&)>
          fallback = {}) const;

  /// Windows over the whole stream, on one worker: `keyed_stream::window` with the key
  /// `whole_stream`. \throws topology_error
  template <class Assigner>
  auto window_all(const Assigner& assigner) const;

  /// Repartitions by a key: `f(const T&) -> K`. State, windows and joins follow on the result.
  template <class F>
  auto key_by(F f) const {
    if constexpr (mapper<F, T>) {
      using key = std::decay_t<std::invoke_result_t<F&, const T&>>;
      static_assert(key_type<key>, "key_by(f): the key must be copyable and equality comparable");
      auto& nodes = core().nodes();
      const stream_origin from = origin();
      const node_id id =
          nodes.add(std::make_unique<key_by_node<T, key, F>>(std::move(f), nodes.new_domain()));
      core().note(id, "key", type_words<key>());
      core().template connect<T>(from, id, routing::by_key);
      return keyed_stream<key, T>(core(), {id, 0});
    } else {
      static_assert(wrong<F>, "key_by(f): f must be callable as f(const T&) and return the key");
      return stream<T>(core(), origin());
    }
  }

 protected:
  using steps_api<Derived, T, Chain>::steps_api;
};

/// Records of type T. `Chain` holds fused steps that have no node yet; write `stream<T>` for a
/// variable, every chain converts to it.
template <class T, class Chain>
class stream : public stream_api<stream<T, Chain>, T, Chain> {
  using base = stream_api<stream<T, Chain>, T, Chain>;

 public:
  static constexpr bool keyed = false;

  stream(pipeline_core& core, stream_origin from) : base(core, from, Chain{}, {}) {}
  stream(pipeline_core& core, stream_origin from, Chain steps, std::string label)
      : base(core, from, std::move(steps), std::move(label)) {}

  /// The end of a chain, as a plain stream.
  template <class OtherChain>
    requires(!std::is_same_v<OtherChain, Chain> && Chain::length == 0)
  stream(const stream<T, OtherChain>& other) : stream(other.core(), other.origin()) {}

  /// Gives every record its event time by `f(const T&) -> time point`, and makes watermarks.
  /// Required before event-time windows, joins and timers.
  template <class F>
  stream<T> event_time(F f, bounded_lag lag, event_time_options<T> options = {}) const {
    auto made = time_node(std::move(f), [lag, options](auto g) {
      using task = event_time_subtask<T, decltype(g)>;
      return std::unique_ptr<subtask>(std::make_unique<task>(std::move(g), lag, options));
    });
    this->core().note(made.origin().node, "lag", plan_text(lag.bound));
    return made;
  }

  /// The same with another strategy: `punctuated`, `per_partition`, `per_key`, or a generator of
  /// the application's (see `watermark_generator_for`).
  template <class F, class Strategy>
    requires(!std::is_convertible_v<Strategy, bounded_lag>)
  stream<T> event_time(F f, Strategy strategy, event_time_options<T> options = {}) const {
    using generator = decltype(watermark_generator_of<T>(strategy));
    if constexpr (watermark_generator_for<generator, T>) {
      return time_node(std::move(f), [strategy, options](auto g) {
        using task = generated_time_subtask<T, decltype(g), generator>;
        return std::unique_ptr<subtask>(
            std::make_unique<task>(std::move(g), watermark_generator_of<T>(strategy), options));
      });
    } else {
      static_assert(wrong<Strategy>,
                    "event_time(f, strategy): the strategy must be a bounded_lag, or have "
                    "on_record(const T&, timestamp, watermark_output&)");
      return stream<T>(this->core(), this->origin());
    }
  }

  /// Every worker gets all values; see `with`.
  broadcast_stream<T> broadcast() const {
    return broadcast_stream<T>(this->core(), this->origin());
  }

  template <class U, class C>
  stream<U, C> rebind(stream_origin from, C steps, std::string label) const {
    return stream<U, C>(this->core(), from, std::move(steps), std::move(label));
  }

 private:
  template <class F, class Make>
  stream<T> time_node(F f, Make make) const {
    if constexpr (time_extractor<F, T>) {
      auto& core = this->core();
      const stream_origin from = this->origin();
      const node_id id = core.add(
          "event_time", {}, core.parallel(from),
          from_prototype(std::move(f), [make](F g, build_context&) { return make(std::move(g)); }));
      core.template connect<T>(from, id);
      return stream<T>(core, {id, 0});
    } else {
      static_assert(wrong<F>,
                    "event_time(f, watermarks): f must be callable as f(const T&) and return a "
                    "std::chrono::sys_time");
      return stream<T>(this->core(), this->origin());
    }
  }
};

}  // namespace millrace
