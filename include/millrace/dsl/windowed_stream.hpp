// SPDX-License-Identifier: Apache-2.0
/// \file
/// `keyed.window(...)`: what can be done per key and window. Streams must not outlive their
/// pipeline.
#pragma once

#include <millrace/dsl/plan_words.hpp>
#include <millrace/dsl/stream.hpp>
#include <millrace/operators/window_aggregate.hpp>
#include <millrace/operators/window_count.hpp>
#include <millrace/operators/window_operator.hpp>
#include <millrace/operators/window_results.hpp>
#include <millrace/windows/aggregate.hpp>
#include <millrace/windows/assigners.hpp>
#include <millrace/windows/contents.hpp>
#include <millrace/windows/evictors.hpp>
#include <millrace/windows/trigger_combinators.hpp>
#include <millrace/windows/triggers.hpp>

#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

/// A keyed stream cut into windows. `Assigner` is `sliding` (tumbling windows are sliding ones),
/// `session` or `global`; for counts see `counted_stream`.
template <class K, class T, class Assigner = sliding, class Trigger = at_window_end,
          class Evictor = no_evictor>
class windowed_stream {
 public:
  /// \throws topology_error from `assigner.validate()`
  windowed_stream(pipeline_core& core, stream_origin from, Assigner assigner, Trigger trigger = {},
                  Evictor evictor = {})
      : core_(&core),
        from_(from),
        assigner_(assigner),
        trigger_(std::move(trigger)),
        evictor_(std::move(evictor)) {
    assigner_.validate();
  }

  /// How long after its watermark a window still takes records; each one fires the updated result
  /// again, at once. Default: not at all. Counts in event time only.
  windowed_stream allowed_lateness(duration lateness) const {
    windowed_stream copy(*this);
    copy.lateness_ = lateness;
    return copy;
  }

  /// Where records go that are too late for all their windows; they are counted in any case.
  windowed_stream late_to(side_output<T> tag) const {
    windowed_stream copy(*this);
    copy.late_ = std::move(tag);
    return copy;
  }

  /// When windows fire: see windows/triggers.hpp. Replaces the default, `at_window_end`.
  template <class Other>
  auto trigger(Other other) const {
    if constexpr (trigger_for<Other, T>) {
      return with(std::move(other), evictor_);
    } else {
      static_assert(wrong<Other>,
                    "trigger(t): t needs on_record(const T&, timestamp, state&, "
                    "trigger_context&) returning a trigger_result, see windows/triggers.hpp");
      return *this;
    }
  }

  /// Which records are taken out before the function sees them: see windows/evictors.hpp. All
  /// records are kept then, also for `aggregate` and `reduce`.
  template <class Other>
  auto evictor(Other other) const {
    if constexpr (evictor_for<Other, T>) {
      return with(trigger_, std::move(other));
    } else {
      static_assert(wrong<Other>,
                    "evictor(e): e needs before(window_records<T>&, const window&) or after(...)");
      return *this;
    }
  }

  /// One `window_result` per firing. A record is folded when it comes; in tumbling and sliding
  /// windows with the default trigger its cost does not depend on the windows' overlap. Sessions
  /// that become one are merged in order of time; otherwise records are folded as they come.
  template <class A>
  auto aggregate(std::string name, A aggregate) const {
    if constexpr (aggregate_for<A, T>) {
      return folded(std::move(name), std::move(aggregate),
                    to_window_result<K, aggregate_result_t<A>>{});
    } else {
      static_assert(wrong<A>,
                    "aggregate(name, a): a must be an aggregate for this stream's values: state, "
                    "add(state, value), merge(state, later), result(state)");
      return keyed_stream<K, T>(*core_, from_);
    }
  }

  /// The same, emitting what `f(const K& key, const window&, const R& result)` returns, or, with
  /// `Out` given, what `f(key, window, result, ctx)` emits by `ctx.emit(...)`.
  template <class Out = void, class A, class F>
  auto aggregate(std::string name, A aggregate, F f) const {
    using result = aggregate_result_t<A>;
    if constexpr (window_function_for<Out, F, const K&, const window&, const result&>()) {
      using out =
          typename window_function_result<Out, F, const K&, const window&, const result&>::type;
      return folded(std::move(name), std::move(aggregate), to_function<out, F>{std::move(f)});
    } else {
      static_assert(wrong<F>,
                    "aggregate(name, a, f): f must be callable as f(key, window, result) and "
                    "return a value, or aggregate<Out>(...) with f(key, window, result, ctx)");
      return keyed_stream<K, T>(*core_, from_);
    }
  }

  /// The records of a window folded by `f(const T& so_far, const T& next) -> T`, associative.
  template <class F>
  auto reduce(std::string name, F f) const {
    if constexpr (std::is_invocable_r_v<T, const F&, const T&, const T&>) {
      return aggregate(std::move(name), reduction<T, F>(std::move(f)));
    } else {
      static_assert(wrong<F>,
                    "reduce(name, f): f must be callable as f(const T&, const T&) and return a T");
      return keyed_stream<K, T>(*core_, from_);
    }
  }

  /// All records: `f(const K& key, const window&, std::span<const window_record<T>>)` returns what
  /// is emitted, or, with `Out` given, emits through a fourth argument, as above. Tumbling and
  /// sliding windows with the default trigger keep a record once, others in each of its windows.
  template <class Out = void, class F>
  auto apply(std::string name, F f) const {
    using records = std::span<const window_record<T>>;
    if constexpr (window_function_for<Out, F, const K&, const window&, const records&>()) {
      using out =
          typename window_function_result<Out, F, const K&, const window&, const records&>::type;
      to_function<out, F> finish{std::move(f)};
      if constexpr (sliced) {
        return folded(std::move(name), gathering<T>{}, std::move(finish));
      } else {
        return each(std::move(name), recorded_content<T, Evictor>(evictor_), std::move(finish));
      }
    } else {
      static_assert(wrong<F>,
                    "apply(name, f): f must be callable as f(key, window, "
                    "std::span<const window_record<T>>) and return a value, or apply<Out>(name, "
                    "f) with f(key, window, records, ctx)");
      return keyed_stream<K, T>(*core_, from_);
    }
  }

 private:
  template <class NewTrigger, class NewEvictor>
  auto with(NewTrigger t, NewEvictor e) const {
    return windowed_stream<K, T, Assigner, NewTrigger, NewEvictor>(*core_, from_, assigner_,
                                                                   std::move(t), std::move(e))
        .allowed_lateness(lateness_)
        .late_to(late_);
  }

  // Whether windows are put together from slices of time.
  static constexpr bool sliced = std::is_same_v<Assigner, sliding> &&
                                 std::is_same_v<Trigger, at_window_end> &&
                                 std::is_same_v<Evictor, no_evictor>;

  template <class A, class Finish>
  auto folded(std::string name, A aggregate, Finish finish) const {
    if constexpr (sliced) {
      using op = window_aggregate_operator<K, T, A, Finish>;
      return node<op>(std::move(name), [self = *this, aggregate = std::move(aggregate),
                                        finish = std::move(finish)](auto keys) {
        return op(self.assigner_, self.lateness_, aggregate, std::move(keys), self.late_, finish);
      });
    } else if constexpr (std::is_same_v<Evictor, no_evictor>) {
      return each(std::move(name), folded_content<A>(std::move(aggregate)), std::move(finish));
    } else {
      return each(std::move(name), evicted_content<T, Evictor, A>(evictor_, std::move(aggregate)),
                  std::move(finish));
    }
  }

  template <class Content, class Finish>
  auto each(std::string name, Content content, Finish finish) const {
    static_assert(!std::is_same_v<Assigner, global> || !std::is_same_v<Trigger, at_window_end>,
                  "window(global{}): a global window never ends; say when it fires with "
                  ".trigger(...), for example purging(on_count{100})");
    using op = window_operator<K, T, Content, Trigger, Finish>;
    return node<op>(std::move(name), [self = *this, content = std::move(content),
                                      finish = std::move(finish)](auto keys) {
      return op(self.assigner_, self.lateness_, content, self.trigger_, finish, std::move(keys),
                self.late_);
    });
  }

  template <class Op, class Make>
  auto node(std::string name, Make make) const {
    auto made = keyed_stream<K, T>(*core_, from_)
                    .template keyed_node<typename Op::output_type, T>(
                        "window", std::move(name),
                        [make = std::move(make)](std::shared_ptr<key_table<K>> keys) {
                          return make(std::move(keys));
                        });
    const node_id id = made.origin().node;
    core_->note(id, "window", plan_text(assigner_));
    if (lateness_ != duration::zero()) {
      core_->note(id, "allowed lateness", plan_text(lateness_));
    }
    if (!std::is_same_v<Trigger, at_window_end>) core_->note(id, "own trigger", "");
    if (!std::is_same_v<Evictor, no_evictor>) core_->note(id, "own evictor", "");
    return made;
  }

  pipeline_core* core_;
  stream_origin from_;
  Assigner assigner_;
  Trigger trigger_;
  Evictor evictor_;
  duration lateness_{};
  side_output<T> late_{"late"};
};

/// A keyed stream cut into windows by count.
template <class K, class T>
class counted_stream {
 public:
  counted_stream(pipeline_core& core, stream_origin from, count_window spec)
      : core_(&core), from_(from), spec_(spec) {
    spec_.validate();
  }

  /// One `window_result` per complete window. O(1) per record, amortized.
  template <class A>
  auto aggregate(std::string name, A aggregate) const {
    if constexpr (aggregate_for<A, T>) {
      return folded(std::move(name), std::move(aggregate),
                    to_window_result<K, aggregate_result_t<A>>{});
    } else {
      static_assert(wrong<A>,
                    "aggregate(name, a): a must be an aggregate for this stream's values: state, "
                    "add(state, value), merge(state, later), result(state)");
      return keyed_stream<K, T>(*core_, from_);
    }
  }

  /// The same with a function, as in `windowed_stream`; the window is `all_time`.
  template <class Out = void, class A, class F>
  auto aggregate(std::string name, A aggregate, F f) const {
    using out = typename window_function_result<Out, F, const K&, const window&,
                                                const aggregate_result_t<A>&>::type;
    return folded(std::move(name), std::move(aggregate), to_function<out, F>{std::move(f)});
  }

  /// The records of a window folded by `f(const T& so_far, const T& next) -> T`, associative.
  template <class F>
  auto reduce(std::string name, F f) const {
    return aggregate(std::move(name), reduction<T, F>(std::move(f)));
  }

  /// All records, as in `windowed_stream`. O(size) per window.
  template <class Out = void, class F>
  auto apply(std::string name, F f) const {
    return windowed_stream<K, T, global, on_count, count_window_evictor>(
               *core_, from_, global{}, on_count{static_cast<std::uint64_t>(spec_.step())},
               count_window_evictor{spec_})
        .template apply<Out>(std::move(name), std::move(f));
  }

 private:
  template <class A, class Finish>
  auto folded(std::string name, A aggregate, Finish finish) const {
    using op = count_window_operator<K, T, A, Finish>;
    auto made = keyed_stream<K, T>(*core_, from_)
                    .template keyed_node<typename op::output_type, T>(
                        "window", std::move(name),
                        [spec = spec_, aggregate = std::move(aggregate),
                         finish = std::move(finish)](std::shared_ptr<key_table<K>> keys) {
                          return op(spec, aggregate, finish, std::move(keys));
                        });
    core_->note(made.origin().node, "window", plan_text(spec_));
    return made;
  }

  pipeline_core* core_;
  stream_origin from_;
  count_window spec_;
};

/// The key of `stream.window_all(...)`.
struct whole_stream {
  friend bool operator==(whole_stream, whole_stream) = default;
  static constexpr std::uint64_t hash() noexcept { return 0; }
  void save(snapshot_writer& to) const { to.number(std::uint8_t{0}); }
  void restore(snapshot_reader& from) { from.number<std::uint8_t>(); }
};

struct to_whole_stream {
  template <class T>
  whole_stream operator()(const T&) const noexcept {
    return {};
  }
};

/// `window(assigner)` of a keyed stream, by kind. \throws topology_error
template <class K, class T>
windowed_stream<K, T> make_windows(pipeline_core& core, stream_origin from, const sliding& spec) {
  return {core, from, spec};
}
template <class K, class T>
windowed_stream<K, T> make_windows(pipeline_core& core, stream_origin from, const tumbling& spec) {
  spec.validate();
  return {core, from, spec};
}
template <class K, class T>
windowed_stream<K, T, session> make_windows(pipeline_core& core, stream_origin from,
                                            const session& spec) {
  return {core, from, spec};
}
template <class K, class T>
windowed_stream<K, T, global> make_windows(pipeline_core& core, stream_origin from,
                                           const global& spec) {
  return {core, from, spec};
}
template <class K, class T>
counted_stream<K, T> make_windows(pipeline_core& core, stream_origin from,
                                  const count_window& spec) {
  return {core, from, spec};
}

template <class K, class T, class Other>
windowed_stream<K, T> make_windows(pipeline_core& core, stream_origin from, const Other&) {
  static_assert(wrong<Other>,
                "window(w): w must be tumbling{...}, sliding{...}, session{...}, "
                "count_window{...} or global{}");
  return {core, from, sliding{one_tick, one_tick}};
}

template <class Derived, class T, class Chain>
template <class Assigner>
auto stream_api<Derived, T, Chain>::window_all(const Assigner& assigner) const {
  return key_by(to_whole_stream{}).window(assigner);
}

}  // namespace millrace
