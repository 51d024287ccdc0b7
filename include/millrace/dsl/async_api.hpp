// SPDX-License-Identifier: Apache-2.0
/// \file
/// `async_map` and `async_flat_map` on all kinds of streams.
#pragma once

#include <millrace/dsl/broadcast_stream.hpp>
#include <millrace/dsl/plan_words.hpp>
#include <millrace/dsl/stream.hpp>
#include <millrace/operators/async_operator.hpp>
#include <millrace/operators/signature.hpp>

#include <functional>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

/// Adds an async operator behind a stream. `Flatten`: the result is a range of values.
template <bool Flatten, class R, class Stream, class F, class LaneOf>
auto add_async(const Stream& from, std::string name, F f, async_options options, LaneOf lane_of,
               std::function<R(const typename Stream::value_type&, const error&)> fallback) {
  using T = typename Stream::value_type;
  using op = async_operator<T, R, Flatten, any_async<F>, LaneOf>;
  auto& core = from.core();
  const stream_origin origin = from.origin();
  auto notes = plan_properties_of(options, !std::is_same_v<LaneOf, one_lane>);
  const node_id id =
      core.add("async", std::move(name), core.parallel(origin),
               from_prototype(op(any_async<F>{std::move(f)}, std::move(options), std::move(lane_of),
                                 std::move(fallback)),
                              [](op o, build_context&) {
                                return std::unique_ptr<subtask>(
                                    std::make_unique<operator_subtask<op, T>>(std::move(o)));
                              }));
  for (auto& [what, value] : notes) core.note(id, std::move(what), std::move(value));
  core.template connect<T>(origin, id);
  return stream<typename op::output_type>(core, {id, 0});
}

template <class Derived, class T, class Chain>
template <class R, class F, class LaneOf>
auto stream_api<Derived, T, Chain>::async_map(
    std::string name, F f, async_options options, LaneOf lane_of,
    std::function<typename detail::async_result_or<R, F, T>::type(const T&, const error&)> fallback)
    const {
  using result = typename detail::async_result_or<R, F, T>::type;
  static_assert(!std::is_void_v<result>,
                "async_map(name, f): f must return boost::asio::awaitable<R> (include "
                "millrace/operators/awaitable.hpp) or take (const T&, async_reply<R>); a generic "
                "f needs async_map<R>");
  return add_async<false, result>(static_cast<const Derived&>(*this), std::move(name), std::move(f),
                                  std::move(options), std::move(lane_of), std::move(fallback));
}

template <class Derived, class T, class Chain>
template <class R, class F, class LaneOf>
auto stream_api<Derived, T, Chain>::async_flat_map(
    std::string name, F f, async_options options, LaneOf lane_of,
    std::function<typename detail::async_result_or<R, F, T>::type(const T&, const error&)> fallback)
    const {
  using result = typename detail::async_result_or<R, F, T>::type;
  static_assert(!std::is_void_v<result>,
                "async_flat_map(name, f): f must return boost::asio::awaitable<range> (include "
                "millrace/operators/awaitable.hpp) or take (const T&, async_reply<range>); a "
                "generic f needs async_flat_map<R>");
  return add_async<true, result>(static_cast<const Derived&>(*this), std::move(name), std::move(f),
                                 std::move(options), std::move(lane_of), std::move(fallback));
}

}  // namespace millrace
