// SPDX-License-Identifier: Apache-2.0
/// \file
/// The joins of keyed streams. Both streams must have the same key type; all state is saved and
/// restored by key and freed by event time. Streams must not outlive their pipeline.
#pragma once

#include <millrace/dsl/concepts.hpp>
#include <millrace/dsl/plan_words.hpp>
#include <millrace/operators/as_of_join.hpp>
#include <millrace/operators/interval_join.hpp>
#include <millrace/operators/join_latest.hpp>
#include <millrace/operators/temporal_join.hpp>
#include <millrace/operators/window_join.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

template <class K, class T, class Chain>
class keyed_stream;
template <class B>
class broadcast_stream;
enum class updates : std::uint8_t;

/// Where records go that came too late for a join; without a listener they are only counted.
template <class L, class R>
struct late_outputs {
  side_output<L> left{"late"};
  side_output<R> right{"late_right"};
};

/// The row type of a table whose stream carries rows, or `std::optional` rows.
template <class R>
struct table_row {
  using type = R;
};
template <class R>
struct table_row<std::optional<R>> {
  using type = R;
};

/// Base of `keyed_stream`. Kinds are `join_kind::inner` (the default), `left`, `right` and `full`;
/// a side that may be missing in a result is a `std::optional`.
template <class Derived, class K, class T>
class keyed_joins {
 public:
  /// Each record with the last value of `right` that has the same key. Records that come after
  /// their watermark go to `late`.
  template <class R, class C>
  auto join_latest(std::string name, const keyed_stream<K, R, C>& right,
                   join_latest_options options = {},
                   side_output<T> late = side_output<T>("late")) const {
    using op = join_latest_operator<K, T, R, false>;
    return add_join<op, R>(std::move(name), "latest", right, [options, late](keys_pointer keys) {
      return op(options, std::move(keys), late);
    });
  }

  /// The same, but records without a partner are emitted, with an empty `right`.
  template <class R, class C>
  auto left_join_latest(std::string name, const keyed_stream<K, R, C>& right,
                        join_latest_options options = {},
                        side_output<T> late = side_output<T>("late")) const {
    using op = join_latest_operator<K, T, R, true>;
    return add_join<op, R>(
        std::move(name), "latest, left", right,
        [options, late](keys_pointer keys) { return op(options, std::move(keys), late); });
  }

  /// Pairs with `left + lower <= right <= left + upper`. \throws topology_error
  template <join_kind Kind = join_kind::inner, class R, class C>
  auto interval_join(std::string name, const keyed_stream<K, R, C>& right, join_interval between,
                     late_outputs<T, R> late = {}) const {
    between.validate();
    using op = interval_join_operator<K, T, R, Kind>;
    return add_join<op, R>(
        std::move(name), "between " + plan_text(between.lower) + " and " + plan_text(between.upper),
        right, [between, late](keys_pointer keys) {
          return op(between, std::move(keys), late.left, late.right);
        });
  }

  /// All pairs that lie in the same `tumbling{...}`, `sliding{...}` or `session{...}` window.
  /// \throws topology_error
  template <join_kind Kind = join_kind::inner, class R, class C>
  auto window_join(std::string name, const keyed_stream<K, R, C>& right,
                   const join_windows& windows, duration allowed_lateness = {},
                   late_outputs<T, R> late = {}) const {
    using op = window_join_operator<K, T, R, Kind>;
    return add_join<op, R>(
        std::move(name),
        windows.is_session() ? plan_text(session{windows.gap()}) : plan_text(windows.spec()), right,
        [=](keys_pointer keys) {
          return op(windows, allowed_lateness, std::move(keys), late.left, late.right);
        });
  }

  /// Each record with the one of `right` that is closest in time, by `options`; `inner` or `left`.
  /// \throws topology_error
  template <join_kind Kind = join_kind::inner, class R, class C>
  auto as_of_join(std::string name, const keyed_stream<K, R, C>& right, as_of_options options,
                  late_outputs<T, R> late = {}) const {
    options.validate();
    using op = as_of_join_operator<K, T, R, Kind>;
    return add_join<op, R>(std::move(name), "as of, within " + plan_text(options.tolerance), right,
                           [options, late](keys_pointer keys) {
                             return op(options, std::move(keys), late.left, late.right);
                           });
  }

  /// Each record with the row of `table` that was valid at its time; `inner` or `left`. `table`
  /// carries rows, or `std::optional` rows of which an empty one deletes. \throws topology_error
  template <join_kind Kind = join_kind::inner, class R, class C>
  auto temporal_join(std::string name, const keyed_stream<K, R, C>& table,
                     temporal_options options = {},
                     late_outputs<T, std::optional<typename table_row<R>::type>> late = {}) const {
    options.validate();
    using op = temporal_join_operator<K, T, typename table_row<R>::type, Kind>;
    return add_join<op, R>(std::move(name), "temporal", table, [options, late](keys_pointer keys) {
      return op(options, std::move(keys), late.left, late.right);
    });
  }

  /// This stream and rules that all workers share, for functions with state per key; see
  /// broadcast_process.hpp.
  template <updates When = updates{}, class B>
  auto connect(const broadcast_stream<B>& changes) const;

 private:
  using keys_pointer = std::shared_ptr<key_table<K>>;

  template <class Op, class R, class Right, class Make>
  auto add_join(std::string name, std::string how, const Right& right, Make make) const {
    using out = typename Op::output_type;
    const auto* self = static_cast<const Derived*>(this);
    auto made =
        self->template keyed_node<out, T, R>("join", std::move(name), std::move(make), right);
    self->core().note(made.origin().node, std::move(how), "");
    return made;
  }
};

}  // namespace millrace
