// SPDX-License-Identifier: Apache-2.0
/// \file
/// The queue between the operators that give up on records and the stream of dead letters. Bounded:
/// above the high-water mark sources are not polled until it has drained. Thread safe.
#pragma once

#include <millrace/operators/source.hpp>
#include <millrace/record/message.hpp>
#include <millrace/state/snapshot.hpp>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

/// The last dead letters, for people who look at a running pipeline. Thread safe.
class recent_dead_letters {
 public:
  static constexpr std::size_t most = 32;
  static constexpr std::size_t longest_payload = 512;  ///< bytes; longer ones are cut

  void note(const dead_letter& letter) {
    const std::lock_guard lock(mutex_);
    if (letters_.size() == most) letters_.pop_front();
    letters_.push_back({letter.where, letter.reason, letter.topic,
                        letter.payload.substr(0, longest_payload), letter.time});
  }
  std::vector<dead_letter> read() const {
    const std::lock_guard lock(mutex_);
    return {letters_.begin(), letters_.end()};
  }

 private:
  mutable std::mutex mutex_;
  std::deque<dead_letter> letters_;
};

class dead_letter_queue {
 public:
  static constexpr std::size_t high_water = 4096;

  void push(dead_letter letter) {
    {
      const std::lock_guard lock(mutex_);
      letters_.push_back(std::move(letter));
      size_.store(letters_.size(), std::memory_order_release);
    }
    if (wake_reader) wake_reader();
  }

  /// Moves up to `most` letters into `out`. Wakes the sources when the queue has run low.
  void pop(std::vector<dead_letter>& out, std::size_t most) {
    const std::lock_guard lock(mutex_);
    const bool was_full = full();
    while (!letters_.empty() && out.size() < most) {
      out.push_back(std::move(letters_.front()));
      letters_.pop_front();
    }
    size_.store(letters_.size(), std::memory_order_release);
    if (was_full && !full() && wake_sources) wake_sources();
  }

  /// The letters that wait, in order; `restore` adds to them.
  void save(snapshot_writer& to) const {
    const std::lock_guard lock(mutex_);
    to.varint(letters_.size());
    for (const auto& letter : letters_) {
      for (const auto* text : {&letter.where, &letter.reason, &letter.topic, &letter.payload}) {
        to.text(*text);
      }
      to.number(letter.time.time_since_epoch().count());
    }
  }
  void restore(snapshot_reader& from) {
    for (auto n = from.count(); n > 0; --n) {
      dead_letter letter;
      for (auto* text : {&letter.where, &letter.reason, &letter.topic, &letter.payload}) {
        *text = std::string(from.text());
      }
      letter.time = timestamp{duration{from.number<std::int64_t>()}};
      if (from.failed()) return;
      push(std::move(letter));
    }
  }

  bool full() const noexcept { return size_.load(std::memory_order_acquire) >= high_water; }
  bool empty() const noexcept { return size_.load(std::memory_order_acquire) == 0; }

  /// No more letters will come: the stream ends when the queue is empty.
  void close() {
    closed_.store(true, std::memory_order_release);
    if (wake_reader) wake_reader();
  }
  bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }

  std::function<void()> wake_reader;   ///< set by the reader when it opens
  std::function<void()> wake_sources;  ///< set before the workers start

 private:
  mutable std::mutex mutex_;
  std::deque<dead_letter> letters_;
  std::atomic<std::size_t> size_{0};
  std::atomic<bool> closed_{false};
};

/// Reads the queue as a source.
class dead_letter_source {
 public:
  using value_type = dead_letter;

  explicit dead_letter_source(std::shared_ptr<dead_letter_queue> queue)
      : queue_(std::move(queue)) {}

  class reader {
   public:
    reader(dead_letter_queue& queue, source_context& context) : queue_(queue) {
      queue.wake_reader = [&context] { context.wake(); };
    }
    reader(reader&&) = delete;

    poll_status poll(source_output<dead_letter>& out) {
      const bool closed = queue_.closed();
      letters_.clear();
      queue_.pop(letters_, out.room());
      for (auto& letter : letters_) {
        const timestamp time = letter.time;
        out.emit(std::move(letter), time);
      }
      if (!queue_.empty()) return poll_status::more;
      return closed ? poll_status::end : poll_status::wait;
    }

    /// What waits comes behind the barrier, though the records it is about lie before it.
    void save(snapshot_writer& to) const { queue_.save(to); }
    void restore(snapshot_reader& from) {
      if (from.remaining() != 0) queue_.restore(from);
    }

    /// Ends with the queue, not with the other sources.
    void stop() noexcept {}

   private:
    dead_letter_queue& queue_;
    std::vector<dead_letter> letters_;
  };

  reader open(source_context& context) const { return reader(*queue_, context); }

 private:
  std::shared_ptr<dead_letter_queue> queue_;
};

}  // namespace millrace
