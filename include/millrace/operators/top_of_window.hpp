// SPDX-License-Identifier: Apache-2.0
/// \file
/// The best results of each window, over all keys. Not thread safe: one copy.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/operators/context.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/windows/aggregates/ranked.hpp>
#include <millrace/windows/projection.hpp>
#include <millrace/windows/window.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

/// A value and its place, from 1 for the best.
template <class T>
struct ranked {
  std::uint32_t rank = 0;
  T value{};

  friend bool operator==(const ranked&, const ranked&) = default;
  BOOST_DESCRIBE_CLASS(ranked, (), (rank, value), (), ())
};

struct top_options {
  std::size_t n = 10;               ///< results per window
  std::size_t most_windows = 4096;  ///< open at a time; beyond them results are dead letters
};

/// Takes results of windows (`window_result`), one per key and window, and emits the `n` of each
/// window with the greatest scores when the watermark has reached its end, best first. Equal
/// scores: by key if keys have an order, so that arrival does not matter, else by arrival. A result
/// that comes later (fired again for a late record) is late. O(log n) per result, n at worst.
template <class T, class Score>
class top_of_window_operator {
 public:
  using score_type =
      std::decay_t<decltype(project(std::declval<const Score&>(), std::declval<const T&>()))>;
  using output_type = ranked<T>;
  using context = operator_context<output_type>;
  static std::string state_type() { return describe_state<score_type, T>(); }

  top_of_window_operator(top_options options, Score score, side_output<T> late)
      : options_(options), score_(std::move(score)), late_(std::move(late)) {
    if (options.n == 0) throw topology_error("top_of_windows: n must be at least 1");
  }

  void process(const T& result, context& c) {
    const auto& w = result.window;
    if (w.max_timestamp() <= c.watermark() && c.watermark() != min_timestamp) {
      c.counters().late.add();
      c.emit_to(late_, result);
      return;
    }
    auto found = windows_.find(key(w));
    if (found == windows_.end()) {
      if (windows_.size() >= options_.most_windows) {
        c.dead_letter("the limit of open windows (" + std::to_string(options_.most_windows) +
                      ") is reached");
        return;
      }
      found = windows_.emplace(key(w), best{}).first;
    }
    insert(found->second, {project(score_, result), result});
  }

  progress on_watermark(timestamp watermark, context& c) {
    while (!windows_.empty() && windows_.begin()->first.first <= watermark) {
      if (c.downstream_blocked()) return progress::suspended;
      const auto first = windows_.begin();
      std::uint32_t rank = 0;
      for (auto& s : first->second) {
        c.emit(output_type{++rank, std::move(s.value)}, first->first.first, no_slot);
      }
      windows_.erase(first);
    }
    return progress::done;
  }

  void save(snapshot_writer& to) const {
    to.varint(windows_.size());
    for (const auto& [w, results] : windows_) {
      save_value(to, w.first);
      save_value(to, w.second);
      save_value(to, results);
    }
  }
  void restore(snapshot_reader& from) {
    const std::size_t n = from.count(1);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      window_key w;
      restore_value(from, w.first);
      restore_value(from, w.second);
      restore_value(from, windows_[w]);
    }
  }

 private:
  using entry = scored<score_type, T>;
  using best = std::vector<entry>;                     // best first
  using window_key = std::pair<timestamp, timestamp>;  // last time, start

  static window_key key(const window& w) noexcept { return {w.max_timestamp(), w.start}; }

  static bool better(const entry& a, const entry& b) {
    if (b.score < a.score) return true;
    if (a.score < b.score) return false;
    if constexpr (requires { a.value.key < b.value.key; }) {
      return a.value.key < b.value.key;
    } else {
      return false;
    }
  }
  void insert(best& results, entry&& next) {
    if (!detail::has_rank(next.score)) return;
    if (results.size() == options_.n) {
      if (!better(next, results.back())) return;
      results.pop_back();
    }
    const auto at = std::upper_bound(results.begin(), results.end(), next, better);
    results.insert(at, std::move(next));
  }

  top_options options_;
  Score score_;
  side_output<T> late_;
  std::map<window_key, best> windows_;
};

}  // namespace millrace
