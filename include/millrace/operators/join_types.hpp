// SPDX-License-Identifier: Apache-2.0
/// \file
/// What joins have in common: their results, which side may stay without a partner, and how a
/// result leaves. Distinct objects may be used from distinct threads.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/record/batch.hpp>

#include <boost/describe/class.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

namespace millrace {

/// A left record and its partner; a side that may be missing is a `std::optional`.
template <class Left, class Right>
struct joined {
  Left left;
  Right right;
  BOOST_DESCRIBE_CLASS(joined, (), (left, right), (), ())

  friend bool operator==(const joined&, const joined&) = default;
};

/// Whose records come out without a partner: nobody's, one side's, everybody's.
enum class join_kind : std::uint8_t { inner, left, right, full };

/// Whether records of that side come out without a partner.
constexpr bool keeps_left(join_kind kind) noexcept {
  return kind == join_kind::left || kind == join_kind::full;
}
constexpr bool keeps_right(join_kind kind) noexcept {
  return kind == join_kind::right || kind == join_kind::full;
}

/// The result of a join of that kind.
template <join_kind Kind, class L, class R>
using joined_by = joined<std::conditional_t<keeps_right(Kind), std::optional<L>, L>,
                         std::conditional_t<keeps_left(Kind), std::optional<R>, R>>;

/// Emits copies of both; either may be null where the result's type allows it. Memory of an earlier
/// result is used again.
template <class Out, class L, class R>
void emit_joined(operator_context<Out>& c, const L* left, const R* right, timestamp time,
                 slot_index slot) {
  const auto assign = [](auto& to, const auto* from) {
    if constexpr (requires {
                    to.reset();
                    *to;
                  }) {
      if (from == nullptr) return to.reset();
    }
    to = *from;
  };
  if constexpr (std::default_initializable<Out>) {
    // Filled in place: large results are not copied about.
    Out& result = c.out().next(time, slot);
    assign(result.left, left);
    assign(result.right, right);
    c.out().committed();
  } else {
    static_assert(std::is_same_v<Out, joined<L, R>>,
                  "records of outer joins must be default-constructible");
    c.emit(Out{*left, *right}, time, slot);
  }
}

}  // namespace millrace
