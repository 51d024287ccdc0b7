// SPDX-License-Identifier: Apache-2.0
/// \file
/// The two ends of an exchange between workers: a sender that distributes records over rings, and a
/// receiver that merges rings and their watermarks. Each end belongs to one worker.
#pragma once

#include <millrace/operators/barriers.hpp>
#include <millrace/operators/port.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/operators/watermarks.hpp>
#include <millrace/record/key.hpp>
#include <millrace/runtime/ring.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

namespace millrace {

/// Distribution by key group: the instance that owns the key.
template <class KeyOf, class K>
struct to_key_owner {
  KeyOf key_of;
  std::size_t target(const auto& value, std::size_t targets) {
    decltype(auto) key = std::invoke(key_of, value);
    return worker_of(key_group(key_hash<K>{}(key)), static_cast<std::uint32_t>(targets));
  }
};
struct to_first {};
struct to_all {};

template <class T>
std::vector<std::shared_ptr<batch_ring<T>>> rings_of(
    const std::vector<std::shared_ptr<void>>& all) {
  std::vector<std::shared_ptr<batch_ring<T>>> rings;
  rings.reserve(all.size());
  for (const auto& ring : all) rings.push_back(std::static_pointer_cast<batch_ring<T>>(ring));
  return rings;
}

/// Sends to one ring per target. What does not fit waits here (at most what one upstream batch
/// brings) while everything upstream is blocked.
template <class T, class Distribution>
class channel_sender final : public subtask, private receiver<T> {
 public:
  channel_sender(std::vector<std::shared_ptr<batch_ring<T>>> rings, Distribution distribution)
      : distribution_(std::move(distribution)) {
    for (auto& ring : rings) lanes_.emplace_back(std::move(ring));
  }

  void* input(std::size_t) override { return static_cast<receiver<T>*>(this); }
  bool polled() const noexcept override { return true; }

  /// Sends what waits: for room, or for a consumer that has run dry.
  bool poll() override {
    bool stuck = false;
    for (auto& lane : lanes_) {
      drain(lane);
      stuck = stuck || !lane.waiting.empty();
      if (!lane.partial.empty() && lane.waiting.empty() && lane.ring->empty()) push_partial(lane);
    }
    if (!stuck) {
      unblock();
      if (ending_) mark_finished();
    }
    return false;
  }

 private:
  using ring_type = batch_ring<T>;
  struct held_batch {
    batch<T> records;
    trace_handle trace;
  };
  using held = std::variant<held_batch, control>;

  struct lane_type {
    explicit lane_type(std::shared_ptr<ring_type> r) : ring(std::move(r)) {}
    std::shared_ptr<ring_type> ring;
    batch<T> partial;
    std::deque<held> waiting;
  };

  void* main_output() override { return nullptr; }

  void read(const batch<T>& records) override { distribute(records); }
  void take(batch<T>& records) override { distribute(records); }

  template <class Batch>
  void distribute(Batch& records) {
    try {
      const std::size_t n = records.size();
      counters().batches_in.add();
      counters().records_in.add(n);
      tracer* const traced = activity().tracer();
      if (MILLRACE_UNLIKELY(traced != nullptr && traced->following())) push_all_partial();
      for (std::size_t i = 0; i < n; ++i) {
        if constexpr (std::is_same_v<Distribution, to_all>) {
          for (auto& lane : lanes_) add(lane, std::as_const(records).value(i), records.time(i));
        } else if constexpr (std::is_same_v<Distribution, to_first>) {
          add(lanes_[0], forward_value(records, i), records.time(i));
        } else {
          auto& lane = lanes_[distribution_.target(std::as_const(records).value(i), lanes_.size())];
          add(lane, forward_value(records, i), records.time(i));
        }
      }
      if (MILLRACE_UNLIKELY(traced != nullptr && traced->following())) push_all_partial(traced);
      for (auto& lane : lanes_) {
        if (!lane.partial.empty() && lane.waiting.empty() && lane.ring->empty()) push_partial(lane);
      }
      // Partial batches left here go with the next records, control element, or `poll`.
      host().wake();
    } catch (...) {
      rethrow_named();
    }
  }

  template <class Batch>
  static decltype(auto) forward_value(Batch& records, std::size_t i) {
    if constexpr (std::is_const_v<Batch>) {
      return records.value(i);
    } else {
      return std::move(records.value(i));
    }
  }

  template <class V>
  void add(lane_type& lane, V&& value, timestamp time) {
    lane.partial.push(std::forward<V>(value), time);
    if (lane.partial.full()) push_partial(lane);
  }

  /// A sampled record travels alone, with its trace.
  void push_all_partial(tracer* traced = nullptr) {
    for (auto& lane : lanes_) {
      if (lane.partial.empty()) continue;
      push_partial(lane, traced != nullptr ? traced->hand_over() : nullptr);
    }
  }

  void push_partial(lane_type& lane, trace_handle trace = nullptr) {
    counters().records_out.add(lane.partial.size());
    if (lane.waiting.empty() && lane.ring->push(lane.partial, std::move(trace))) return;
    const std::size_t capacity = lane.partial.capacity();
    lane.waiting.emplace_back(held_batch{std::move(lane.partial), std::move(trace)});
    lane.partial = batch<T>(capacity);
    wait(lane);
  }

  void receive(const control& element) override {
    if (element.kind == control_kind::barrier) acknowledge_barrier(element.id);
    for (auto& lane : lanes_) {
      if (!lane.partial.empty()) push_partial(lane);
      if (lane.waiting.empty() && lane.ring->push(element)) continue;
      lane.waiting.emplace_back(element);
      wait(lane);
    }
    if (element.kind == control_kind::end) {
      ending_ = true;
      poll();
    }
  }

  void wait(lane_type& lane) {
    block();
    if (!lane.ring->wait_for_room()) drain(lane);
  }

  void drain(lane_type& lane) {
    while (!lane.waiting.empty()) {
      auto& next = lane.waiting.front();
      const bool sent = std::visit([&](auto& e) { return push(*lane.ring, e); }, next);
      if (!sent && lane.ring->wait_for_room()) return;
      if (sent) lane.waiting.pop_front();
    }
  }

  static bool push(ring_type& ring, held_batch& held) {
    return ring.push(held.records, std::move(held.trace));
  }
  static bool push(ring_type& ring, const control& element) { return ring.push(element); }

  Distribution distribution_;
  std::vector<lane_type> lanes_;
  bool ending_ = false;
};

/// Takes from one ring per upstream instance, round robin, and merges their watermarks.
template <class T>
class channel_receiver final : public subtask {
 public:
  explicit channel_receiver(std::vector<std::shared_ptr<batch_ring<T>>> rings)
      : rings_(std::move(rings)), alignment_(rings_.size()), merger_(rings_.size()) {
    out_.count_in(&counters().records_out);
  }

  void* input(std::size_t) override { return nullptr; }
  bool polled() const noexcept override { return true; }

  const watermark_merger* input_watermarks() const noexcept override { return &merger_; }

  double queue_fill() const noexcept override {
    double fill = 0;
    for (const auto& ring : rings_) fill = std::max(fill, ring->fill());
    return fill;
  }

  bool poll() override {
    bool any = false;
    for (std::size_t i = 0; i < rings_.size(); ++i) {
      if (alignment_.holds(i)) continue;  // what lies behind a barrier waits in its ring
      auto* element = rings_[i]->front();
      if (element == nullptr) continue;
      any = true;
      if (element->signal) {
        apply(i, *element->signal);
      } else {
        counters().batches_in.add();
        counters().records_in.add(element->records.size());
        const trace_scope traced(activity().tracer(), name(), std::move(element->trace));
        out_.forward(element->records);
      }
      rings_[i]->pop();
      if (downstream_blocked()) break;
    }
    return any;
  }

 private:
  void* main_output() override { return &out_; }

  void apply(std::size_t input, const control& element) {
    if (element.kind == control_kind::latency) note_latency(&activity(), element.id);
    if (element.kind == control_kind::latency) return out_.send(element);
    if (element.kind == control_kind::barrier) {
      if (alignment_.arrive(input, element.id)) cut();
      return;
    }
    if (element.kind == control_kind::end && alignment_.end(input)) cut();
    const watermark_change change = merger_.apply(input, element, env());
    if (change.woke_up) out_.send(control::active());
    if (change.advanced) {
      counters().watermark.set(merger_.watermark().time_since_epoch().count());
      out_.send(control::watermark(merger_.watermark()));
    }
    if (change.went_idle) out_.send(control::idle());
    if (change.ended) {
      out_.send(control::end());
      mark_finished();
    }
  }

  void cut() {
    const auto id = alignment_.id();
    alignment_.finish();
    acknowledge_barrier(id);
    out_.send(control::barrier(id));
  }

  std::vector<std::shared_ptr<batch_ring<T>>> rings_;
  barrier_alignment alignment_;
  watermark_merger merger_;
  output<T> out_;
};

}  // namespace millrace
