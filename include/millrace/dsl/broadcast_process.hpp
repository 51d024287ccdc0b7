// SPDX-License-Identifier: Apache-2.0
/// \file
/// `keyed.connect(rules.broadcast())`: process functions that see state per key and rules that are
/// the same everywhere. Streams must not outlive their pipeline.
#pragma once

#include <millrace/dsl/broadcast_stream.hpp>
#include <millrace/dsl/keyed_stream.hpp>
#include <millrace/operators/broadcast_process.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

/// A keyed stream and a broadcast one, for one function.
template <updates When, class K, class T, class B>
class broadcast_connected_stream {
 public:
  broadcast_connected_stream(keyed_stream<K, T> records, broadcast_stream<B> changes)
      : records_(std::move(records)), changes_(std::move(changes)) {}

  /// `on_record(const T&, State&, const Rules&, auto& ctx)`, `on_update(const B&, Rules&)` and, if
  /// wanted, `on_timer(timestamp, State&, const Rules&, auto& ctx)`; `State` and `Rules` are read
  /// off the first two. By event time, late records go to `late`.
  template <class Out, class OnRecord, class OnUpdate, class OnTimer = no_timer>
  keyed_stream<K, Out> process(std::string name, OnRecord on_record, OnUpdate on_update,
                               OnTimer on_timer = {},
                               side_output<T> late = side_output<T>("late")) const {
    constexpr auto record_call = detail::call_operator<OnRecord, process_context<K, Out>>();
    constexpr auto update_call = detail::call_operator<OnUpdate, void>();
    if constexpr (is_call<decltype(record_call)> && is_call<decltype(update_call)>) {
      using state = argument<decltype(record_call), 1>;
      using rules = argument<decltype(update_call), 1>;
      using op =
          broadcast_process_operator<When, K, T, B, state, rules, Out, OnRecord, OnUpdate, OnTimer>;
      auto& core = records_.core();
      const stream_origin from = records_.origin();
      const domain_id domain = core.domain(from);
      const node_id id = core.add(
          "process", std::move(name), true, [=, late = std::move(late)](build_context& context) {
            auto keys = context.table<key_table<K>>(domain);
            return std::unique_ptr<subtask>(std::make_unique<operator_subtask<op, T, B>>(
                built_by{}, [&] { return op(on_record, on_update, on_timer, keys, late); }));
          });
      core.set_domain(id, domain);
      core.template connect<T>(from, id);
      core.template connect<B>(changes_.origin(), id, routing::broadcast);
      if (When == updates::by_event_time) core.nodes().node(id).inputs.back().auxiliary = false;
      return keyed_stream<K, Out>(core, {id, 0});
    } else {
      static_assert(wrong<OnRecord>,
                    "connect(broadcast).process<Out>(name, on_record, on_update): on_record must "
                    "be callable as f(const T&, State&, const Rules&, auto& ctx), on_update as "
                    "f(const B&, Rules&)");
      return keyed_stream<K, Out>(records_.core(), records_.origin());
    }
  }

 private:
  template <class Call>
  static constexpr bool is_call = !std::is_same_v<std::remove_const_t<Call>, std::nullptr_t>;
  template <class Call, std::size_t I>
  using argument = std::remove_cvref_t<
      typename detail::signature<std::remove_const_t<Call>>::template argument<I>>;

  keyed_stream<K, T> records_;
  broadcast_stream<B> changes_;
};

template <class Derived, class K, class T>
template <updates When, class B>
auto keyed_joins<Derived, K, T>::connect(const broadcast_stream<B>& changes) const {
  return broadcast_connected_stream<When, K, T, B>(
      keyed_stream<K, T>(static_cast<const Derived&>(*this)), changes);
}

}  // namespace millrace
