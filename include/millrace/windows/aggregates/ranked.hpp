// SPDX-License-Identifier: Apache-2.0
/// \file
/// Records with the smallest or greatest score: one of them, or the first few. Pure values.
#pragma once

#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace millrace {

/// A part of a record, and what it was ranked by.
template <class Score, class Value>
struct scored {
  Score score{};
  Value value{};

  friend bool operator==(const scored&, const scored&) = default;
  BOOST_DESCRIBE_CLASS(scored, (), (score, value), (), ())
};

namespace detail {

enum class rank_side { smallest, greatest };

template <rank_side Side, class S>
bool outranks(const S& a, const S& b) {
  if constexpr (Side == rank_side::smallest) {
    return a < b;
  } else {
    return b < a;
  }
}
/// Only NaN does not equal itself; it has no rank.
template <class S>
bool has_rank(const S& score) {
  if constexpr (std::is_floating_point_v<S>) return score == score;
  return true;
}
template <class Score, class What>
using ranked_value_t = std::conditional_t<std::is_same_v<What, std::identity>,
                                          projected_from_t<Score>, projected_t<What>>;

}  // namespace detail

/// \see min_by, max_by
template <class S, class V, class Score, class What, detail::rank_side Side>
class extreme_by {
 public:
  using state = std::optional<scored<S, V>>;

  extreme_by(Score score, What what) : score_(score), what_(what) {}

  template <class In>
  void add(state& s, const In& in) const {
    const S& score = project(score_, in);
    if (!detail::has_rank(score)) return;
    if (!s || detail::outranks<Side>(score, s->score)) {
      s = scored<S, V>{score, static_cast<const V&>(project(what_, in))};
    }
  }
  void merge(state& s, const state& later) const {
    if (later && (!s || detail::outranks<Side>(later->score, s->score))) s = later;
  }
  /// The part of the record; `V{}` if all scores were NaN.
  V result(const state& s) const { return s ? s->value : V{}; }

 private:
  [[no_unique_address]] Score score_;
  [[no_unique_address]] What what_;
};

/// The record with the smallest score (of equal ones the first, by slice, then arrival):
/// `min_by(&reading::bikes)`, or a part of it: `min_by(&reading::bikes, &reading::station)`. NaN
/// has no rank.
template <class Score, class What = std::identity>
auto min_by(Score score, What what = {}) {
  using value = detail::ranked_value_t<Score, What>;
  static_assert(!std::is_void_v<value>,
                "min_by(score): score must say which record it takes: a pointer to a member or a "
                "function that is not generic");
  constexpr auto side = detail::rank_side::smallest;
  return extreme_by<projected_t<Score>, value, Score, What, side>(score, what);
}

/// The greatest score, otherwise like `min_by`.
template <class Score, class What = std::identity>
auto max_by(Score score, What what = {}) {
  using value = detail::ranked_value_t<Score, What>;
  static_assert(!std::is_void_v<value>,
                "max_by(score): score must say which record it takes: a pointer to a member or a "
                "function that is not generic");
  constexpr auto side = detail::rank_side::greatest;
  return extreme_by<projected_t<Score>, value, Score, What, side>(score, what);
}

/// \see top_k, bottom_k
template <class S, class V, class Score, class What, detail::rank_side Side>
class best_of {
 public:
  using state = std::vector<scored<S, V>>;  // best first

  best_of(std::size_t k, Score score, What what) : k_(k), score_(score), what_(what) {}

  /// O(1) for most records; O(k) for one that is among the best.
  template <class In>
  void add(state& s, const In& in) const {
    const S& score = project(score_, in);
    if (k_ == 0 || !detail::has_rank(score)) return;
    if (s.size() == k_) {
      if (!detail::outranks<Side>(score, s.back().score)) return;
      s.pop_back();
    }
    const auto at = std::upper_bound(s.begin(), s.end(), score, [](const S& a, const auto& b) {
      return detail::outranks<Side>(a, b.score);
    });
    s.insert(at, scored<S, V>{score, static_cast<const V&>(project(what_, in))});
  }
  void merge(state& s, const state& later) const {
    if (s.empty()) {
      s = later;
      return;
    }
    for (const auto& next : later) {
      if (s.size() == k_) {
        if (!detail::outranks<Side>(next.score, s.back().score)) return;
        s.pop_back();
      }
      s.insert(std::upper_bound(s.begin(), s.end(), next,
                                [](const auto& a, const auto& b) {
                                  return detail::outranks<Side>(a.score, b.score);
                                }),
               next);
    }
  }
  state result(const state& s) const { return s; }

 private:
  std::size_t k_;
  [[no_unique_address]] Score score_;
  [[no_unique_address]] What what_;
};

/// The `k` records with the greatest scores, best first (of equal ones the first, by slice, then
/// arrival), as `std::vector<scored<Score, Value>>`: `top_k(10, &bid::price)`, or parts of them:
/// `top_k(10, &bid::price, &bid::bidder)`. State: `k` records. NaN has no rank.
template <class Score, class What = std::identity>
auto top_k(std::size_t k, Score score, What what = {}) {
  using value = detail::ranked_value_t<Score, What>;
  static_assert(!std::is_void_v<value>,
                "top_k(k, score): score must say which record it takes: a pointer to a member or a "
                "function that is not generic");
  constexpr auto side = detail::rank_side::greatest;
  return best_of<projected_t<Score>, value, Score, What, side>(k, score, what);
}

/// The smallest scores, otherwise like `top_k`.
template <class Score, class What = std::identity>
auto bottom_k(std::size_t k, Score score, What what = {}) {
  using value = detail::ranked_value_t<Score, What>;
  static_assert(!std::is_void_v<value>,
                "bottom_k(k, score): score must say which record it takes: a pointer to a member "
                "or a function that is not generic");
  constexpr auto side = detail::rank_side::smallest;
  return best_of<projected_t<Score>, value, Score, What, side>(k, score, what);
}

}  // namespace millrace
