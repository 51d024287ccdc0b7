// SPDX-License-Identifier: Apache-2.0
/// \file
/// A queue of states that knows what all of them come to, without ever pausing: for windows of so
/// many states that the turns of `two_stacks` would be felt. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/state/keyed_state.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace millrace {

/// A queue in blocks: it grows without moving what it holds, and reuses blocks that have emptied.
/// Elements are addressed by how many came before them.
template <class T>
class block_queue {
 public:
  std::uint64_t first() const noexcept { return first_; }
  std::uint64_t end() const noexcept { return end_; }

  T& operator[](std::uint64_t i) noexcept {
    return blocks_[i / block_size & mask()][i % block_size];
  }
  const T& operator[](std::uint64_t i) const noexcept {
    return blocks_[i / block_size & mask()][i % block_size];
  }

  void push(T&& value) {
    if (end_ % block_size == 0) add_block();
    (*this)[end_] = std::move(value);
    ++end_;
  }

  /// \pre not empty
  void pop() {
    (*this)[first_] = T{};
    ++first_;
  }

 private:
  static constexpr std::size_t block_size = 1024;

  std::size_t mask() const noexcept { return blocks_.size() - 1; }

  // The ring of blocks has a power of two of places, some of them empty.
  MILLRACE_NOINLINE void add_block() {
    const std::uint64_t from = first_ / block_size, to = end_ / block_size;
    if (to - from >= blocks_.size()) {
      std::vector<std::unique_ptr<T[]>> larger(blocks_.empty() ? 1 : 2 * blocks_.size());
      for (std::uint64_t b = from; b < to; ++b) {
        larger[b & (larger.size() - 1)] = std::move(blocks_[b & mask()]);
      }
      blocks_ = std::move(larger);
    }
    auto& place = blocks_[to & mask()];
    if (!place) place = std::make_unique<T[]>(block_size);
  }

  std::vector<std::unique_ptr<T[]>> blocks_;
  std::uint64_t first_ = 0;
  std::uint64_t end_ = 0;
};

/// DABA Lite (Tangwongsan, Hirzel, Schneider: In-Order Sliding-Window Aggregation in Worst-Case
/// Constant Time, VLDB Journal 2021): what `two_stacks` does in turns is done in steps, one with
/// every `push` and `pop`, each of at most four merges. `query` makes one. Any associative `merge`
/// will do. One state per element and two more, in blocks of 1,024. The order of merges depends on
/// the calls alone, and is saved with the content.
///
/// The queue in order: [first, left) and [accumulated, back) hold folds up to `back`, [left, right)
/// folds up to `right`, [right, accumulated) and [back, end) states as they came.
template <class Aggregate>
class daba_lite {
 public:
  using state = typename Aggregate::state;

  std::size_t size() const noexcept { return queue_.end() - queue_.first(); }
  bool empty() const noexcept { return size() == 0; }

  void push(const Aggregate& aggregate, state&& next) {
    if (queue_.end() == back_) {
      back_fold_ = next;
    } else {
      aggregate.merge(back_fold_, next);
    }
    queue_.push(std::move(next));
    step(aggregate);
  }

  /// Forgets the oldest element. \pre not empty
  void pop(const Aggregate& aggregate) {
    queue_.pop();
    step(aggregate);
  }

  /// All elements, merged in order. \pre not empty
  state query(const Aggregate& aggregate) const {
    state all = queue_[queue_.first()];
    if (back_ < queue_.end()) aggregate.merge(all, back_fold_);
    return all;
  }

  void save(snapshot_writer& to) const {
    const std::uint64_t first = queue_.first();
    for (const std::uint64_t place : {queue_.end(), left_, right_, accumulated_, back_}) {
      to.varint(place - first);
    }
    for (std::uint64_t i = first; i < queue_.end(); ++i) save_value(to, queue_[i]);
    if (back_ < queue_.end()) save_value(to, back_fold_);
    if (left_ < right_) save_value(to, middle_fold_);
  }
  void restore(snapshot_reader& from) {
    *this = {};
    const std::uint64_t n = from.count(1);
    for (std::uint64_t* place : {&left_, &right_, &accumulated_, &back_}) *place = from.varint();
    if (left_ > right_ || right_ > accumulated_ || accumulated_ > back_ || back_ > n ||
        right_ - left_ != accumulated_ - right_ || (n != 0 && back_ == 0)) {
      from.fail("a queue of folds with its parts out of order");
    }
    for (std::uint64_t i = 0; i < n && !from.failed(); ++i) {
      state s{};
      restore_value(from, s);
      queue_.push(std::move(s));
    }
    if (back_ < n) restore_value(from, back_fold_);
    if (left_ < right_) restore_value(from, middle_fold_);
    if (from.failed()) *this = {};
  }

 private:
  void step(const Aggregate& aggregate) {
    const std::uint64_t first = queue_.first(), end = queue_.end();
    if (first == back_) {  // at most one element, which is its own fold
      left_ = right_ = accumulated_ = back_ = end;
      return;
    }
    if (left_ == back_) {  // everything in front is folded: the back becomes the middle
      left_ = first;
      accumulated_ = back_ = end;
      middle_fold_ = std::exchange(back_fold_, state{});
    }
    if (left_ == right_) {
      ++left_;
      ++right_;
      ++accumulated_;
      return;
    }
    aggregate.merge(queue_[left_++], middle_fold_);
    --accumulated_;
    if (accumulated_ + 1 < back_) {
      aggregate.merge(queue_[accumulated_], queue_[accumulated_ + 1]);
    }
  }

  block_queue<state> queue_;
  std::uint64_t left_ = 0;
  std::uint64_t right_ = 0;
  std::uint64_t accumulated_ = 0;
  std::uint64_t back_ = 0;
  state back_fold_{};    // of [back, end)
  state middle_fold_{};  // of [right, back)
};

}  // namespace millrace
