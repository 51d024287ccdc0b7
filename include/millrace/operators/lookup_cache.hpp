// SPDX-License-Identifier: Apache-2.0
/// \file
/// A cache of looked-up rows: bounded, least recently used first out, with times to live, and able
/// to remember that there is no row. Not thread safe.
#pragma once

#include <millrace/record/key.hpp>

#include <chrono>
#include <cstddef>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

namespace millrace {

struct cache_options {
  std::size_t rows = 10'000;  ///< at most, keys without a row included; 0: no cache
  std::chrono::nanoseconds ttl = std::chrono::minutes{10};
  std::chrono::nanoseconds negative_ttl = std::chrono::minutes{1};  ///< for "no such row"; 0: not
                                                                    ///< remembered
};

/// O(1) per operation. Times are those of a monotonic clock; entries whose time is over are freed
/// when they are asked for, or when they are the least recently used.
template <class K, class R>
class lookup_cache {
 public:
  explicit lookup_cache(cache_options options) : options_(options) {}

  /// The answer, if it is known: a row, or an empty optional for none. Null: not known.
  const std::optional<R>* find(const K& key, std::chrono::nanoseconds now) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    const auto known = found->second;
    if (known->until <= now) {
      index_.erase(found);
      entries_.erase(known);
      return nullptr;
    }
    entries_.splice(entries_.begin(), entries_, known);
    return &known->row;
  }

  /// Remembers an answer. Returns how many others had to go.
  std::size_t put(const K& key, std::optional<R> row, std::chrono::nanoseconds now) {
    const auto ttl = row ? options_.ttl : options_.negative_ttl;
    if (options_.rows == 0 || ttl <= std::chrono::nanoseconds::zero()) return 0;
    if (const auto old = index_.find(key); old != index_.end()) {
      entries_.erase(old->second);
      index_.erase(old);
    }
    std::size_t evicted = 0;
    for (; entries_.size() >= options_.rows; ++evicted) {
      index_.erase(entries_.back().key);
      entries_.pop_back();
    }
    const auto most = std::chrono::nanoseconds::max() - now;
    entries_.push_front({key, std::move(row), now + (ttl < most ? ttl : most)});
    index_.emplace(key, entries_.begin());
    return evicted;
  }

  std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct entry {
    K key;
    std::optional<R> row;
    std::chrono::nanoseconds until;
  };
  struct hash {
    std::size_t operator()(const K& key) const noexcept {
      return static_cast<std::size_t>(key_hash<K>{}(key));
    }
  };

  cache_options options_;
  std::list<entry> entries_;  // the most recently used first
  std::unordered_map<K, typename std::list<entry>::iterator, hash> index_;
};

}  // namespace millrace
