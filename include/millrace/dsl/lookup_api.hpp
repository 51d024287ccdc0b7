// SPDX-License-Identifier: Apache-2.0
/// \file
/// `lookup_join(stream, name, key_of, fetch, options)`: records with rows of an outside table.
/// Streams must not outlive their pipeline.
#pragma once

#include <millrace/dsl/concepts.hpp>
#include <millrace/dsl/pipeline_core.hpp>
#include <millrace/dsl/stream.hpp>
#include <millrace/operators/lookup_join.hpp>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

/// Each record with the row that `fetch(const K&, async_reply<std::optional<R>>)`, or a coroutine,
/// finds for `key_of(const T&) -> K`; an empty `right` if there is none. Every worker has a cache
/// of its own: behind a `key_by` on the same key each row is asked for once. For `stream.then`, or
/// alone. The result is not keyed.
template <class Stream, class KeyOf, class Fetch>
auto lookup_join(const Stream& records, std::string name, KeyOf key_of, Fetch fetch,
                 lookup_options options = {}) {
  using T = typename Stream::value_type;
  using K = std::decay_t<std::invoke_result_t<KeyOf&, const T&>>;
  using row = async_result_t<Fetch, K>;
  if constexpr (requires { typename row::value_type; }) {
    using op = lookup_join_operator<K, T, typename row::value_type, KeyOf, Fetch>;
    auto& core = records.core();
    const stream_origin from = records.origin();
    const node_id id =
        core.add("lookup", std::move(name), core.parallel(from), [=](build_context&) {
          return std::unique_ptr<subtask>(std::make_unique<operator_subtask<op, T>>(
              built_by{}, [&] { return op(key_of, fetch, options); }));
        });
    core.template connect<T>(from, id);
    return stream<typename op::output_type>(core, {id, 0});
  } else {
    static_assert(
        wrong<Fetch>,
        "lookup_join(stream, name, key_of, fetch): fetch must take (const K&, "
        "async_reply<std::optional<R>>), or return boost::asio::awaitable of an optional");
    return records;
  }
}

}  // namespace millrace
