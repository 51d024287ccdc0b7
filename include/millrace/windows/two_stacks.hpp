// SPDX-License-Identifier: Apache-2.0
/// \file
/// A queue of states that knows what all of them come to, in order: for windows that move in order
/// of arrival. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/state/keyed_state.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace millrace {

/// Two-stacks lite (Tangwongsan, Hirzel, Schneider: In-Order Sliding-Window Aggregation in
/// Worst-Case Constant Time, VLDB Journal 2021): one ring; its front part holds suffix folds, its
/// back part the states as they came, and the fold of the back part is kept beside. `push`, `pop`
/// and `query` make O(1) merges amortized, for any associative `merge`, commutative and invertible
/// or not. One state per element and one more. The order of merges depends on the calls alone, and
/// is saved with the content.
template <class Aggregate>
class two_stacks {
 public:
  using state = typename Aggregate::state;

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  void push(const Aggregate& aggregate, state&& next) {
    if (size_ == ring_.size()) grow();
    if (front_ < size_) {
      aggregate.merge(back_, next);
    } else {
      back_ = next;
    }
    at(size_++) = std::move(next);
  }

  /// Forgets the oldest element. \pre not empty
  void pop(const Aggregate& aggregate) {
    if (front_ == 0) turn(aggregate);
    at(0) = state{};
    head_ = head_ + 1 == ring_.size() ? 0 : head_ + 1;
    --front_;
    --size_;
    if (size_ == 0) head_ = 0;
  }

  /// All elements, merged in order. \pre not empty
  state query(const Aggregate& aggregate) const {
    if (front_ == 0) return back_;
    state all = at(0);
    if (front_ < size_) aggregate.merge(all, back_);
    return all;
  }

  void save(snapshot_writer& to) const {
    to.varint(size_);
    to.varint(front_);
    for (std::size_t i = 0; i < size_; ++i) save_value(to, at(i));
    if (front_ < size_) save_value(to, back_);
  }
  void restore(snapshot_reader& from) {
    const std::size_t n = from.count(1);
    const std::size_t front = from.count(1);
    if (front > n) from.fail("a queue of states with more in front than there are");
    ring_.clear();
    head_ = 0;
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      restore_value(from, ring_.emplace_back());
    }
    if (front < n) restore_value(from, back_);
    if (from.failed()) ring_.clear();
    size_ = ring_.size();
    front_ = from.failed() ? 0 : front;
  }

 private:
  // Elements become suffix folds, from the last to the first.
  void turn(const Aggregate& aggregate) {
    for (std::size_t i = size_ - 1; i-- > 0;) aggregate.merge(at(i), at(i + 1));
    front_ = size_;
    back_ = state{};
  }

  MILLRACE_NOINLINE void grow() {
    std::vector<state> larger;
    larger.reserve(ring_.size() < 2 ? 2 : ring_.size() + ring_.size() / 2);
    for (std::size_t i = 0; i < size_; ++i) larger.push_back(std::move(at(i)));
    larger.resize(larger.capacity());
    ring_ = std::move(larger);
    head_ = 0;
  }

  std::size_t place(std::size_t i) const noexcept {
    const std::size_t p = head_ + i;
    return p >= ring_.size() ? p - ring_.size() : p;
  }
  state& at(std::size_t i) noexcept { return ring_[place(i)]; }
  const state& at(std::size_t i) const noexcept { return ring_[place(i)]; }

  std::vector<state> ring_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
  std::size_t front_ = 0;  // elements that are suffix folds
  state back_{};           // fold of the others, if there are any
};

}  // namespace millrace
