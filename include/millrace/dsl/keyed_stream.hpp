// SPDX-License-Identifier: Apache-2.0
/// \file
/// `keyed_stream<K, T>`: records that know their key. Stateless steps keep the key; windows, joins
/// and process functions work per key. Streams must not outlive their pipeline.
#pragma once

#include <millrace/dsl/keyed_joins.hpp>
#include <millrace/dsl/keyed_utilities.hpp>
#include <millrace/dsl/stream.hpp>
#include <millrace/dsl/windowed_stream.hpp>
#include <millrace/operators/process.hpp>
#include <millrace/operators/signature.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

template <class K, class L, class R>
class connected_streams;

/// Records of type T with a key of type K.
template <class K, class T, class Chain>
class keyed_stream : public stream_api<keyed_stream<K, T, Chain>, T, Chain>,
                     public keyed_joins<keyed_stream<K, T, Chain>, K, T>,
                     public keyed_utilities<keyed_stream<K, T, Chain>, K, T> {
  using base = stream_api<keyed_stream<K, T, Chain>, T, Chain>;

 public:
  using key_type = K;
  static constexpr bool keyed = true;

  keyed_stream(pipeline_core& core, stream_origin from) : base(core, from, Chain{}, {}) {}
  keyed_stream(pipeline_core& core, stream_origin from, Chain steps, std::string label)
      : base(core, from, std::move(steps), std::move(label)) {}

  /// The end of a chain, as a plain keyed stream.
  template <class OtherChain>
    requires(!std::is_same_v<OtherChain, Chain> && Chain::length == 0)
  keyed_stream(const keyed_stream<K, T, OtherChain>& other)
      : keyed_stream(other.core(), other.origin()) {}

  /// The same records as a plain stream, for outputs and for a `key_by` of another kind.
  stream<T> unkeyed() const { return stream<T>(this->core(), this->origin()); }

  /// Windows per key: `tumbling{...}`, `sliding{...}`, `session{...}`, `count_window{...}` or
  /// `global{}`. \throws topology_error
  template <class Assigner>
  auto window(const Assigner& assigner) const {
    return make_windows<K, T>(this->core(), this->origin(), assigner);
  }

  /// A function with state and timers per key, emitting `Out`:
  /// `on_record(const T&, State&, ctx&)` and `on_timer(timestamp, State&, ctx&)`, where `ctx` is a
  /// `process_context<K, Out>`. `State` is read off `on_record`; it starts default-constructed.
  template <class Out, class OnRecord, class OnTimer = no_timer>
  keyed_stream<K, Out> process(std::string name, OnRecord on_record, OnTimer on_timer = {}) const {
    using context = process_context<K, Out>;
    using state = process_state_t<OnRecord, context>;
    if constexpr (!std::is_void_v<state>) {
      using op = process_operator<K, state, Out, OnRecord, no_timer, OnTimer>;
      auto made = this->template keyed_node<Out, T>(
          "process", std::move(name),
          [on_record = std::move(on_record),
           on_timer = std::move(on_timer)](std::shared_ptr<key_table<K>> keys) {
            return op(on_record, {}, on_timer, std::move(keys));
          });
      this->core().note(made.origin().node, "state", std::string(short_type_name<state>()));
      return made;
    } else {
      static_assert(wrong<OnRecord>,
                    "process<Out>(name, f): f must be callable as f(const T&, State&, auto& ctx)");
      return keyed_stream<K, Out>(this->core(), this->origin());
    }
  }

  /// This stream and another with the same key type, for functions with shared state per key.
  using keyed_joins<keyed_stream, K, T>::connect;
  template <class R, class C>
  connected_streams<K, T, R> connect(const keyed_stream<K, R, C>& right) const {
    return connected_streams<K, T, R>(*this, right);
  }

  template <class U, class C>
  keyed_stream<K, U, C> rebind(stream_origin from, C steps, std::string label) const {
    return keyed_stream<K, U, C>(this->core(), from, std::move(steps), std::move(label));
  }

  /// For operators: a node with one instance per worker, made from the worker's key table.
  template <class Out, class... Ins, class Make, class... Others>
  keyed_stream<K, Out> keyed_node(std::string kind, std::string name, Make make,
                                  const Others&... others) const {
    auto& core = this->core();
    const stream_origin from = this->origin();
    const domain_id domain = core.domain(from);
    (core.nodes().unite(domain, core.domain(others.origin())), ...);
    const node_id id =
        core.add(std::move(kind), std::move(name), true,
                 [make = std::move(make), domain](build_context& context) {
                   auto keys = context.table<key_table<K>>(domain);
                   using op = decltype(make(keys));
                   return std::unique_ptr<subtask>(std::make_unique<operator_subtask<op, Ins...>>(
                       built_by{}, [&] { return make(keys); }));
                 });
    core.set_domain(id, domain);
    core.template connect<T>(from, id);
    (core.template connect<typename Others::value_type>(others.origin(), id), ...);
    return keyed_stream<K, Out>(core, {id, 0});
  }
};

/// Two keyed streams for one function.
template <class K, class L, class R>
class connected_streams {
 public:
  connected_streams(keyed_stream<K, L> left, keyed_stream<K, R> right)
      : left_(std::move(left)), right_(std::move(right)) {}

  /// `on_left(const L&, State&, ctx&)`, `on_right(const R&, State&, ctx&)` and, if wanted,
  /// `on_timer(timestamp, State&, ctx&)` share one state per key.
  template <class Out, class OnLeft, class OnRight, class OnTimer = no_timer>
  keyed_stream<K, Out> process(std::string name, OnLeft on_left, OnRight on_right,
                               OnTimer on_timer = {}) const {
    using state = process_state_t<OnLeft, process_context<K, Out>>;
    if constexpr (!std::is_void_v<state>) {
      using op = process_operator<K, state, Out, OnLeft, OnRight, OnTimer>;
      return left_.template keyed_node<Out, L, R>(
          "process", std::move(name),
          [on_left = std::move(on_left), on_right = std::move(on_right),
           on_timer = std::move(on_timer)](std::shared_ptr<key_table<K>> keys) {
            return op(on_left, on_right, on_timer, std::move(keys));
          },
          right_);
    } else {
      static_assert(wrong<OnLeft>,
                    "connect(other).process<Out>(name, on_left, on_right): both must be callable "
                    "as f(const T&, State&, auto& ctx) with the same State");
      return keyed_stream<K, Out>(left_.core(), left_.origin());
    }
  }

 private:
  keyed_stream<K, L> left_;
  keyed_stream<K, R> right_;
};

}  // namespace millrace
