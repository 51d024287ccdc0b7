// SPDX-License-Identifier: Apache-2.0
/// \file
/// `broadcast_stream<B>` and what comes of `stream.with(it)`: records seen together with the
/// current broadcast value. Streams must not outlive their pipeline.
#pragma once

#include <millrace/dsl/stream.hpp>
#include <millrace/operators/broadcast.hpp>

#include <string>
#include <utility>

namespace millrace {

/// Values that every worker gets; the latest one counts.
template <class B>
class broadcast_stream {
 public:
  using value_type = B;

  broadcast_stream(pipeline_core& core, stream_origin from) : core_(&core), from_(from) {}
  stream_origin origin() const noexcept { return from_; }
  pipeline_core& core() const noexcept { return *core_; }

 private:
  pipeline_core* core_;
  stream_origin from_;
};

/// Calls `f(record, broadcast value)` with the two parts of a `with_broadcast`.
template <class F>
struct with_both {
  F f;
  template <class T, class B>
  decltype(auto) operator()(const with_broadcast<T, B>& both) {
    return f(both.value, *both.shared);
  }
};

/// A stream of records with the broadcast value: functions take `(const T&, const B&)`.
/// `Stream` carries `with_broadcast<T, B>`.
template <class T, class B, class Stream>
class with_stream {
 public:
  explicit with_stream(Stream pairs) : pairs_(std::move(pairs)) {}

  /// `f(const T&, const B&) -> U`
  template <class F>
  auto map(F f) const {
    if constexpr (std::is_invocable_v<F&, const T&, const B&>) {
      return Stream(pairs_).map(with_both<F>{std::move(f)});
    } else {
      static_assert(
          wrong<F>,
          "with(b).map(f): f must be callable as f(const T&, const B&) and return a value");
      return pairs_;
    }
  }

  /// `f(const T&, const B&)` returns a range.
  template <class F>
  auto flat_map(F f) const {
    if constexpr (std::is_invocable_v<F&, const T&, const B&>) {
      return Stream(pairs_).flat_map(with_both<F>{std::move(f)});
    } else {
      static_assert(wrong<F>,
                    "with(b).flat_map(f): f must be callable as f(const T&, const B&) and return a "
                    "range");
      return pairs_;
    }
  }

  /// Keeps the records for which `f(const T&, const B&)` is true.
  template <class F>
  auto filter(F f) const {
    if constexpr (std::is_invocable_r_v<bool, F&, const T&, const B&>) {
      return Stream(pairs_).filter(with_both<F>{std::move(f)}).map([](const auto& both) {
        return both.value;
      });
    } else {
      static_assert(wrong<F>,
                    "with(b).filter(f): f must be callable as f(const T&, const B&) and return a "
                    "bool");
      return pairs_;
    }
  }

  /// The pairs themselves, for everything else a stream can do.
  const Stream& pairs() const noexcept { return pairs_; }

 private:
  Stream pairs_;
};

/// The instance behind `with`; on keyed streams it keeps the keys of records that wait.
template <class Stream, class T, class B>
std::unique_ptr<subtask> make_with(with_options options, build_context& context, domain_id domain) {
  if constexpr (Stream::keyed) {
    using keys = held_keys<typename Stream::key_type>;
    using op = with_operator<T, B, keys>;
    auto table = context.table<key_table<typename Stream::key_type>>(domain);
    return std::make_unique<operator_subtask<op, T, B>>(built_by{},
                                                        [&] { return op(options, keys(table)); });
  } else {
    using op = with_operator<T, B>;
    return std::make_unique<operator_subtask<op, T, B>>(op(options));
  }
}

template <class Derived, class T, class Chain>
template <class B>
auto stream_api<Derived, T, Chain>::with(const broadcast_stream<B>& values,
                                         with_options options) const {
  const stream_origin from = origin();
  const bool parallel = core().parallel(from);
  const domain_id domain = core().domain(from);
  const node_id id = core().add("with", {}, parallel, [options, domain](build_context& context) {
    return make_with<Derived, T, B>(options, context, domain);
  });
  core().nodes().node(id).domain = core().domain(from);
  core().template connect<T>(from, id);
  core().template connect<B>(values.origin(), id, routing::broadcast);
  using pair = with_broadcast<T, B>;
  auto pairs = static_cast<const Derived*>(this)->template rebind<pair, no_steps<pair>>(
      stream_origin{id, 0}, {}, {});
  return with_stream<T, B, decltype(pairs)>(std::move(pairs));
}

}  // namespace millrace
