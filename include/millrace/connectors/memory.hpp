// SPDX-License-Identifier: Apache-2.0
/// \file
/// Sources and sinks in memory, for tests and for applications that have the records already:
/// `memory::source` replays a vector, `memory::queue` takes records from any thread, and
/// `memory::sink` collects. `queue` and `sink` are thread safe handles to shared contents: a copy
/// refers to the same records.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/base/time.hpp>
#include <millrace/operators/sink.hpp>
#include <millrace/operators/source.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace::memory {

/// A value with its event time.
template <class T>
struct timed {
  T value;
  timestamp time{};

  friend bool operator==(const timed&, const timed&) = default;
};

/// Emits the given values in order, then ends. Every reader starts at the first value; the vector
/// is shared, not copied. Values given without times get those of the wall clock at emission.
template <class T>
class source {
 public:
  using value_type = T;

  source(std::initializer_list<T> values) : source(std::vector<T>(values)) {}
  source(std::initializer_list<timed<T>> values) : source(std::vector<timed<T>>(values)) {}
  explicit source(std::vector<T> values) {
    std::vector<record> all;
    all.reserve(values.size());
    for (auto& value : values) all.push_back({std::move(value), std::nullopt});
    records_ = std::make_shared<const std::vector<record>>(std::move(all));
  }
  explicit source(std::vector<timed<T>> values) {
    std::vector<record> all;
    all.reserve(values.size());
    for (auto& v : values) all.push_back({std::move(v.value), v.time});
    records_ = std::make_shared<const std::vector<record>>(std::move(all));
  }

  class reader;
  reader open(source_context& context) const { return reader{context, records_}; }

 private:
  struct record {
    T value;
    std::optional<timestamp> time;
  };
  std::shared_ptr<const std::vector<record>> records_;
};

template <class T>
class source<T>::reader {
 public:
  reader(source_context& context, std::shared_ptr<const std::vector<record>> records)
      : context_(&context), records_(std::move(records)) {}

  poll_status poll(source_output<T>& out) {
    while (!stopped_ && next_ < records_->size() && out.room() > 0) {
      const record& r = (*records_)[next_++];
      out.emit(r.value, r.time ? *r.time : context_->env().now());
    }
    return stopped_ || next_ == records_->size() ? poll_status::end : poll_status::more;
  }

  void stop() noexcept { stopped_ = true; }

  /// The position is the number of values emitted.
  template <class Writer>
  void save(Writer& out) const {
    out.varint(next_);
  }
  template <class Reader>
  void restore(Reader& in) {
    next_ = static_cast<std::size_t>(std::min<std::uint64_t>(in.varint(), records_->size()));
  }

 private:
  source_context* context_;
  std::shared_ptr<const std::vector<record>> records_;
  std::size_t next_ = 0;
  bool stopped_ = false;
};

template <class T>
source(std::initializer_list<timed<T>>) -> source<T>;
template <class T>
source(std::vector<timed<T>>) -> source<T>;
template <class T>
source(std::vector<T>) -> source<T>;

/// Records pushed by the application, from any thread, into a pipeline that is running or will be.
/// Holds at most `capacity` records; a full queue is the pipeline's back-pressure. One pipeline at
/// a time reads it.
///
///     memory::queue<reading> readings{4096};
///     p.source("readings", readings)...
///     readings.push(r, r.at);  ...  readings.close();
template <class T>
class queue {
 public:
  using value_type = T;

  explicit queue(std::size_t capacity = 8192) : state_(std::make_shared<state>()) {
    state_->capacity = capacity == 0 ? 1 : capacity;
  }

  /// Waits for room. False when the queue is closed, the pipeline wants no more, or `patience` is
  /// over: the record was not taken. Without a time it gets the wall clock's at emission.
  bool push(T value, std::optional<timestamp> time = std::nullopt,
            std::chrono::nanoseconds patience = std::chrono::nanoseconds::max()) {
    std::unique_lock lock(state_->mutex);
    const auto ready = [&] { return state_->closed || state_->records.size() < state_->capacity; };
    if (patience == std::chrono::nanoseconds::max()) {
      state_->room.wait(lock, ready);
    } else if (!state_->room.wait_for(lock, patience, ready)) {
      return false;
    }
    return take(std::move(value), time);
  }

  /// Does not wait: false when the queue is full or closed.
  bool try_push(T value, std::optional<timestamp> time = std::nullopt) {
    const std::lock_guard lock(state_->mutex);
    if (state_->records.size() >= state_->capacity) return false;
    return take(std::move(value), time);
  }

  /// No more records will come; the source ends when it has emitted what is in the queue.
  void close() {
    const std::lock_guard lock(state_->mutex);
    state_->close();
  }

  /// Records that wait to be read.
  std::size_t size() const {
    const std::lock_guard lock(state_->mutex);
    return state_->records.size();
  }

  class reader;

  /// \throws topology_error when another pipeline reads this queue.
  reader open(source_context& context) const { return reader{context, state_}; }

 private:
  struct record {
    T value;
    std::optional<timestamp> time;
  };

  struct state {
    std::mutex mutex;
    std::condition_variable room;
    std::deque<record> records;
    std::size_t capacity = 0;
    source_context* reader = nullptr;
    bool waiting = false;  // the reader has nothing to do until it is woken
    bool closed = false;

    void wake() {
      if (!waiting || reader == nullptr) return;
      waiting = false;
      reader->wake();  // under the lock: the reader cannot go away meanwhile
    }
    void close() {
      closed = true;
      room.notify_all();
      wake();
    }
  };

  bool take(T&& value, std::optional<timestamp> time) {
    if (state_->closed) return false;
    state_->records.push_back({std::move(value), time});
    state_->wake();
    return true;
  }

  std::shared_ptr<state> state_;
};

template <class T>
class queue<T>::reader {
 public:
  reader(source_context& context, std::shared_ptr<state> shared)
      : context_(&context), state_(std::move(shared)) {
    const std::lock_guard lock(state_->mutex);
    if (state_->reader != nullptr) {
      throw topology_error(context.name() +
                           ": this memory::queue is read already; give every source its own queue");
    }
    state_->reader = context_;
    state_->waiting = false;
  }
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;
  ~reader() {
    const std::lock_guard lock(state_->mutex);
    state_->reader = nullptr;
  }

  poll_status poll(source_output<T>& out) {
    const std::lock_guard lock(state_->mutex);
    auto& records = state_->records;
    const bool was_full = records.size() >= state_->capacity;
    while (!records.empty() && out.room() > 0) {
      auto& r = records.front();
      out.emit(std::move(r.value), r.time ? *r.time : context_->env().now());
      records.pop_front();
    }
    if (was_full && records.size() < state_->capacity) state_->room.notify_all();
    if (!records.empty()) return poll_status::more;
    if (state_->closed) return poll_status::end;
    state_->waiting = true;
    return poll_status::wait;
  }

  void stop() {
    const std::lock_guard lock(state_->mutex);
    state_->close();
  }

 private:
  source_context* context_;
  std::shared_ptr<state> state_;
};

/// Collects what a pipeline emits. Holds at most `capacity` records; one more is an error that
/// fails the pipeline (`errc::overloaded`), because memory would grow without a bound.
///
///     memory::sink<alert> alerts;
///     stream.to("alerts", alerts);  p.run();  use(alerts.values());
template <class T>
class sink {
 public:
  explicit sink(std::size_t capacity = std::size_t{1} << 24) : state_(std::make_shared<state>()) {
    state_->capacity = capacity;
  }

  /// Copies of the values so far, in order of arrival. O(n). Of different workers, interleaved.
  std::vector<T> values() const {
    const std::lock_guard lock(state_->mutex);
    std::vector<T> all;
    all.reserve(state_->records.size());
    for (const auto& r : state_->records) all.push_back(r.value);
    return all;
  }

  /// The same with their times.
  std::vector<timed<T>> records() const {
    const std::lock_guard lock(state_->mutex);
    return state_->records;
  }

  /// Moves everything out.
  std::vector<timed<T>> take() {
    const std::lock_guard lock(state_->mutex);
    return std::exchange(state_->records, {});
  }

  std::size_t size() const {
    const std::lock_guard lock(state_->mutex);
    return state_->records.size();
  }

  /// Whether a pipeline that wrote here has ended (its writer's `end`).
  bool ended() const {
    const std::lock_guard lock(state_->mutex);
    return state_->ended;
  }

  /// Waits until at least `count` records are here, or a writer has ended; false when `patience`
  /// is over first. For use on other threads than the pipeline's.
  bool wait_for(std::size_t count, std::chrono::nanoseconds patience) const {
    std::unique_lock lock(state_->mutex);
    return state_->changed.wait_for(
        lock, patience, [&] { return state_->records.size() >= count || state_->ended; });
  }

  class writer;
  writer open(sink_context& context) const { return writer{context, state_}; }

 private:
  struct state {
    mutable std::mutex mutex;
    mutable std::condition_variable changed;
    std::vector<timed<T>> records;
    std::size_t capacity = 0;
    bool ended = false;
  };
  std::shared_ptr<state> state_;
};

template <class T>
class sink<T>::writer {
 public:
  writer(sink_context& context, std::shared_ptr<state> shared)
      : context_(&context), state_(std::move(shared)) {}

  void write(const T& value, timestamp time) {
    const std::lock_guard lock(state_->mutex);
    if (state_->records.size() >= state_->capacity) {
      context_->fail({errc::overloaded, "memory::sink holds its capacity of " +
                                            std::to_string(state_->capacity) + " records"});
      return;
    }
    state_->records.push_back({value, time});
  }

  void batch_end() { state_->changed.notify_all(); }

  void end() {
    {
      const std::lock_guard lock(state_->mutex);
      state_->ended = true;
    }
    state_->changed.notify_all();
    context_->done();
  }

 private:
  sink_context* context_;
  std::shared_ptr<state> state_;
};

}  // namespace millrace::memory
