// SPDX-License-Identifier: Apache-2.0
/// \file
/// Floors of handing values to a second thread: a bounded ring of batches of 64, and a call to
/// `asio::post` per value, which is what programs on Asio do. The second thread adds them up.
#pragma once

#include "floors/data.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace floors {

/// What is handed over comes to this.
struct total {
  double sum = 0;
  std::uint64_t count = 0;
  void add(const event& e) noexcept {
    sum += e.value;
    ++count;
  }
  bool operator==(const total&) const = default;
};

/// One producer, one consumer; both spin, then yield.
class batch_ring_of_64 {
 public:
  static constexpr std::size_t batch = 64;
  static constexpr std::size_t batches = 128;

  /// Where the next batch is to be filled in.
  event* next() {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    while (tail - seen_head_ >= batches) {
      seen_head_ = head_.load(std::memory_order_acquire);
      if (tail - seen_head_ >= batches) std::this_thread::yield();
    }
    return &events_[tail % batches * batch];
  }
  void publish(std::size_t n) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    sizes_[tail % batches] = n;
    tail_.store(tail + 1, std::memory_order_release);
  }

  /// Calls `visit` for every event until an empty batch has come.
  template <class F>
  void drain(F&& visit) {
    for (std::size_t head = 0;;) {
      const std::size_t tail = tail_.load(std::memory_order_acquire);
      if (head == tail) std::this_thread::yield();
      for (; head != tail; ++head) {
        const event* e = &events_[head % batches * batch];
        const std::size_t n = sizes_[head % batches];
        if (n == 0) return;
        for (std::size_t i = 0; i < n; ++i) visit(e[i]);
        head_.store(head + 1, std::memory_order_release);
      }
    }
  }

 private:
  std::vector<event> events_ = std::vector<event>(batch * batches);
  std::array<std::size_t, batches> sizes_{};
  alignas(64) std::atomic<std::size_t> tail_{0};
  std::size_t seen_head_ = 0;
  alignas(64) std::atomic<std::size_t> head_{0};
};

inline total hand_off_by_ring(const event_block& block, std::size_t passes) {
  batch_ring_of_64 ring;
  total result;
  std::thread consumer([&] { ring.drain([&](const event& e) { result.add(e); }); });
  for (std::size_t p = 0; p < passes; ++p) {
    const std::int64_t later = static_cast<std::int64_t>(p) * block.span();
    for (std::size_t i = 0; i < block.events.size(); i += ring.batch) {
      event* to = ring.next();
      for (std::size_t j = 0; j < ring.batch; ++j) {
        to[j] = block.events[i + j];
        to[j].time += later;
      }
      ring.publish(ring.batch);
    }
  }
  ring.next();
  ring.publish(0);
  consumer.join();
  return result;
}

/// At most a million calls wait, so that memory stays bounded.
inline total hand_off_by_post(const event_block& block, std::size_t passes) {
  boost::asio::io_context io{1};
  auto guard = boost::asio::make_work_guard(io);
  total result;
  std::atomic<std::uint64_t> done{0};
  std::thread consumer([&io] { io.run(); });
  std::uint64_t sent = 0;
  for (std::size_t p = 0; p < passes; ++p) {
    const std::int64_t later = static_cast<std::int64_t>(p) * block.span();
    for (event e : block.events) {
      e.time += later;
      boost::asio::post(io, [e, &result, &done] {
        result.add(e);
        done.store(result.count, std::memory_order_release);
      });
      while (++sent - done.load(std::memory_order_acquire) > 1'000'000) std::this_thread::yield();
    }
  }
  guard.reset();
  consumer.join();
  return result;
}

}  // namespace floors
