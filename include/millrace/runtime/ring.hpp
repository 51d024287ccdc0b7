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
#include <optional>
#include <utility>
#include <vector>

namespace millrace {

/// Default batches per ring; with 512 records each this bounds what is between two workers.
inline constexpr std::size_t default_ring_batches = 16;

/// What of a ring does not depend on the type of its records.
class ring_base {
 public:
  explicit ring_base(std::size_t batches) : elements_(batches) {}
  ring_base(const ring_base&) = delete;
  ring_base& operator=(const ring_base&) = delete;

  /// Producer: puts a control element. False when full.
  bool push(const control& signal) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (!has_room(tail)) return false;
    elements_[tail % elements_.size()].signal = signal;
    publish(tail);
    return true;
  }

  /// Consumer: whether there is an element; the oldest stays valid until `pop`.
  bool look() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == seen_tail_) {
      seen_tail_ = tail_.load(std::memory_order_acquire);
      if (head == seen_tail_) return false;
    }
    return true;
  }

  /// Consumer: the oldest element if it is a control element; otherwise it is a batch.
  /// \pre `look()` was true
  const std::optional<control>& signal() const noexcept { return elements_[head_place()].signal; }

  /// Consumer: the trace of the oldest element, a batch, if it is a sampled record; once.
  trace_handle take_trace() noexcept { return std::move(elements_[head_place()].trace); }

  /// Consumer: gives the oldest element back; wakes a producer that waits for room.
  void pop() {
    head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
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

 protected:
  ~ring_base() = default;

  std::size_t head_place() const noexcept {
    return head_.load(std::memory_order_relaxed) % elements_.size();
  }

  /// Producer: the place of a new batch, or nothing when full; then `publish_batch`.
  std::optional<std::size_t> tail_place() {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (!has_room(tail)) return std::nullopt;
    return tail % elements_.size();
  }
  void publish_batch(trace_handle&& trace) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    elements_[tail % elements_.size()].signal.reset();
    elements_[tail % elements_.size()].trace = std::move(trace);
    publish(tail);
  }

 private:
  struct element {
    std::optional<control> signal;  // nothing: there is a batch
    trace_handle trace;
  };

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

template <class T>
class batch_ring final : public ring_base {
 public:
  explicit batch_ring(std::size_t batches) : ring_base(batches) {
    for (std::size_t i = 0; i < batches; ++i) batches_.emplace_back(0);
  }

  using ring_base::push;

  /// Producer: puts a batch, swapped for an empty one of the same capacity. False when full; then
  /// `trace` is left alone.
  bool push(batch<T>& records, trace_handle&& trace = nullptr) {
    const std::optional<std::size_t> place = tail_place();
    if (!place) return false;
    batch<T>& there = batches_[*place];
    if (there.capacity() < records.capacity()) there = batch<T>(records.capacity());
    there.swap(records);
    publish_batch(std::move(trace));
    return true;
  }

  /// Consumer: the oldest element, a batch. To be cleared before `pop`.
  batch<T>& records() noexcept { return batches_[head_place()]; }

 private:
  std::vector<batch<T>> batches_;
};

}  // namespace millrace
