// SPDX-License-Identifier: Apache-2.0
/// \file
/// The memory that an MQTT source receives into: blocks that records point into, used again when
/// their last record is gone. Not thread safe; records may be dropped on any thread.
#pragma once

#include <millrace/record/buffer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::mqtt::detail {

/// One current block, filled from the front and read behind that; others rest until they are free.
class receive_blocks {
 public:
  static constexpr std::size_t most_blocks = 8;

  explicit receive_blocks(std::size_t capacity)
      : capacity_(capacity), current_(shared_buffer::allocate(capacity)) {}

  const shared_buffer& block() const noexcept { return current_; }
  std::string_view unread() const noexcept { return {current_.data() + begin_, end_ - begin_}; }

  /// Whether records hold on to all blocks, so that new ones had better own copies.
  bool exhausted() const noexcept { return exhausted_; }

  /// Room to receive into, so that a packet of `needed` bytes at the start of `unread` will fit.
  /// May move the unread bytes to another block; allocates until there are `most_blocks`.
  std::span<char> space(std::size_t needed) {
    if (current_.unique() && begin_ != 0) move_to_front();
    const std::size_t room = current_.capacity() - end_;
    const bool fits = current_.capacity() - begin_ >= needed;
    const bool regular = current_.capacity() == capacity_ || needed > capacity_;
    if (!fits || room < capacity_ / 4 || !regular || (exhausted_ && free_block() != none)) {
      if (!(fits && current_.unique() && room > 0 && regular && !exhausted_)) change(needed);
    }
    return {current_.data() + end_, current_.capacity() - end_};
  }

  void received(std::size_t n) noexcept { end_ += n; }
  void consume(std::size_t n) noexcept { begin_ += n; }
  void forget_unread() noexcept { begin_ = end_; }

 private:
  static constexpr std::size_t none = ~std::size_t{0};

  void move_to_front() noexcept {
    std::memmove(current_.data(), current_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }

  std::size_t free_block() const noexcept {
    for (std::size_t i = 0; i < resting_.size(); ++i) {
      if (resting_[i].unique()) return i;
    }
    return none;
  }

  void change(std::size_t needed) {
    shared_buffer next;
    bool no_more = false;
    if (needed > capacity_) {
      next = shared_buffer::allocate(needed + capacity_ / 4);
    } else if (const std::size_t i = free_block(); i != none) {
      next = std::exchange(resting_[i], shared_buffer{});
      resting_.erase(resting_.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (resting_.size() + 1 < most_blocks) {
      next = shared_buffer::allocate(capacity_);
    } else if (exhausted_ && current_.unique()) {
      return;  // stays: its records are copies
    } else {
      next = shared_buffer::allocate(capacity_);
      no_more = true;
    }
    const std::size_t tail = end_ - begin_;  // of one incomplete packet
    MILLRACE_ASSERT(tail <= next.capacity());
    std::memcpy(next.data(), current_.data() + begin_, tail);
    if (current_.capacity() == capacity_ && resting_.size() < most_blocks) {
      resting_.push_back(std::move(current_));
    }
    current_ = std::move(next);
    begin_ = 0;
    end_ = tail;
    exhausted_ = no_more;
  }

  std::size_t capacity_;
  shared_buffer current_;
  std::vector<shared_buffer> resting_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool exhausted_ = false;
};

}  // namespace millrace::mqtt::detail
