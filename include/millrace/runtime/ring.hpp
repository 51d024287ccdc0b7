// SPDX-License-Identifier: Apache-2.0
/// \file
/// A bounded ring of batches and control elements between two workers: one producer, one consumer,
/// no lock. Batches stay in the ring and are swapped in and out, so that nothing is allocated.
#pragma once

#include <millrace/operators/tracer.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/record/watermark.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace millrace {

/// Default batches per ring; with 512 records each this bounds what is between two workers.
inline constexpr std::size_t default_ring_batches = 16;

template <class T>
class batch_ring {
 public:
  struct element {
    batch<T> records{0};
    std::optional<control> signal;
    trace_handle trace;  ///< of the batch, if it is a sampled record
  };

  explicit batch_ring(std::size_t batches) : elements_(batches) {}

  /// Producer: puts a batch (swapped for an empty one) or a control element. False when full; then
  /// `trace` is left alone.
  bool push(batch<T>& records, trace_handle&& trace = nullptr) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (!has_room(tail)) return false;
    auto& e = elements_[tail % elements_.size()];
    if (e.records.capacity() < records.capacity()) e.records = batch<T>(records.capacity());
    e.records.swap(records);
    e.signal.reset();
    e.trace = std::move(trace);
    publish(tail);
    return true;
  }
  bool push(const control& signal) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (!has_room(tail)) return false;
    elements_[tail % elements_.size()].signal = signal;
    publish(tail);
    return true;
  }

  /// Consumer: the oldest element, or null. Stays valid until `pop`.
  element* front() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == seen_tail_) {
      seen_tail_ = tail_.load(std::memory_order_acquire);
      if (head == seen_tail_) return nullptr;
    }
    return &elements_[head % elements_.size()];
  }

  /// Consumer: gives the oldest element back; wakes a producer that waits for room.
  void pop() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    elements_[head % elements_.size()].records.clear();
    head_.store(head + 1, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (starved_.load(std::memory_order_relaxed)) {
      starved_.store(false, std::memory_order_relaxed);
      if (wake_producer) wake_producer();
    }
  }

  /// Producer: asks to be woken by the next `pop`. Returns false when there is room by now.
  bool wait_for_room() {
    starved_.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_acquire) ==
           elements_.size();
  }

  /// Whether the consumer has nothing to do. From any side; may be outdated at once.
  bool empty() const noexcept {
    return tail_.load(std::memory_order_acquire) == head_.load(std::memory_order_acquire);
  }

  /// How full it is, 0 to 1. From any thread.
  double fill() const noexcept {
    const auto head = head_.load(std::memory_order_relaxed);
    const auto tail = tail_.load(std::memory_order_relaxed);
    return tail <= head ? 0.0
                        : static_cast<double>(tail - head) / static_cast<double>(elements_.size());
  }

  std::function<void()> wake_producer;  ///< set before the workers start
  std::function<void()> wake_consumer;

 private:
  bool has_room(std::size_t tail) {
    if (tail - seen_head_ < elements_.size()) return true;
    seen_head_ = head_.load(std::memory_order_acquire);
    return tail - seen_head_ < elements_.size();
  }

  void publish(std::size_t tail) {
    tail_.store(tail + 1, std::memory_order_release);
    if (wake_consumer) wake_consumer();
  }

  std::vector<element> elements_;
  alignas(64) std::atomic<std::size_t> tail_{0};
  std::size_t seen_head_ = 0;  // producer's copy
  alignas(64) std::atomic<std::size_t> head_{0};
  std::size_t seen_tail_ = 0;  // consumer's copy
  alignas(64) std::atomic<bool> starved_{false};
};

}  // namespace millrace
