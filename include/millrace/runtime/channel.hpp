// SPDX-License-Identifier: Apache-2.0
/// \file
/// The two ends of an exchange between workers: a sender that distributes records over rings, and a
/// receiver that merges rings and their watermarks. Each end belongs to one worker. What does not
/// depend on the records' type is compiled once, and called once per batch.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/operators/barriers.hpp>
#include <millrace/operators/port.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/operators/watermarks.hpp>
#include <millrace/record/key.hpp>
#include <millrace/runtime/ring.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace millrace {

/// Distribution by key group: the instance that owns the key.
template <class KeyOf, class K>
class to_key_owner {
 public:
  to_key_owner(KeyOf key_of, std::size_t targets) : key_of_(std::move(key_of)) {
    for (std::uint32_t group = 0; group < owner_.size(); ++group) {
      owner_[group] =
          static_cast<std::uint8_t>(worker_of(group, static_cast<std::uint32_t>(targets)));
    }
  }

  template <class T>
  std::size_t target(const T& value) const {
    decltype(auto) key = std::invoke(key_of_, value);
    return owner_[key_group(key_hash<K>{}(key))];
  }

 private:
  KeyOf key_of_;
  std::array<std::uint8_t, default_max_parallelism> owner_;
};

/// Distribution to the first instance only, or a copy for each.
struct to_workers {
  bool all = false;
};

template <class T>
std::vector<std::shared_ptr<batch_ring<T>>> rings_of(
    const std::vector<std::shared_ptr<void>>& all) {
  std::vector<std::shared_ptr<batch_ring<T>>> rings;
  rings.reserve(all.size());
  for (const auto& ring : all) rings.push_back(std::static_pointer_cast<batch_ring<T>>(ring));
  return rings;
}

template <class T>
std::vector<ring_base*> bases_of(const std::vector<std::shared_ptr<batch_ring<T>>>& rings) {
  std::vector<ring_base*> bases;
  bases.reserve(rings.size());
  for (const auto& ring : rings) bases.push_back(ring.get());
  return bases;
}

/// The order of what leaves: one lane per target. What does not fit waits here (at most what one
/// upstream batch brings) while everything upstream is blocked.
class channel_sender_base : public subtask {
 public:
  bool polled() const noexcept override { return true; }

  /// Sends what waits: for room, or for a consumer that has run dry.
  MILLRACE_DECL bool poll() override;

 protected:
  MILLRACE_DECL explicit channel_sender_base(const std::vector<ring_base*>& rings);
  MILLRACE_DECL ~channel_sender_base() override;

  /// Records that are collected for a lane and have not left.
  virtual std::size_t collected(std::size_t lane) const noexcept = 0;
  /// Puts them into the ring, as a batch; false when it is full. Then `trace` is left alone.
  virtual bool push_collected(std::size_t lane, trace_handle&& trace) = 0;
  /// Puts them aside as a batch, behind those that are there.
  virtual void set_aside(std::size_t lane) = 0;
  /// Puts the oldest batch that was set aside into the ring; false when it is full.
  virtual bool push_aside(std::size_t lane, trace_handle&& trace) = 0;

  /// Sends what is collected for a lane, or has it wait.
  MILLRACE_DECL void send(std::size_t lane, trace_handle trace = nullptr);
  /// The same for all lanes: a sampled record travels alone, with its trace.
  MILLRACE_DECL void send_all(tracer* traced);
  /// At the end of a batch: feeds consumers that have run dry.
  MILLRACE_DECL void distributed();
  MILLRACE_DECL void send_control(const control& element);

 private:
  struct waiting_element {
    std::optional<control> signal;  // nothing: a batch that was set aside
    trace_handle trace;
  };
  struct lane_order {
    ring_base* ring = nullptr;
    std::deque<waiting_element> waiting;
  };

  MILLRACE_DECL void* main_output() override;
  void wait(std::size_t lane);
  void drain(std::size_t lane);
  void feed(std::size_t lane);

  std::vector<lane_order> order_;
  bool ending_ = false;
};

template <class T, class Distribution>
class channel_sender final : public channel_sender_base, private receiver<T> {
 public:
  channel_sender(std::vector<std::shared_ptr<batch_ring<T>>> rings, Distribution distribution)
      : channel_sender_base(bases_of(rings)), distribution_(std::move(distribution)) {
    for (auto& ring : rings) lanes_.push_back({std::move(ring), batch<T>(), {}});
  }

  void* input(std::size_t) override { return static_cast<receiver<T>*>(this); }

 private:
  struct lane_type {
    std::shared_ptr<batch_ring<T>> ring;
    batch<T> collected;
    std::deque<batch<T>> aside;
  };

  void read(const batch<T>& records) override { distribute(records); }
  void take(batch<T>& records) override {
    if constexpr (std::is_trivially_copyable_v<T>) {
      distribute(std::as_const(records));
    } else {
      distribute(records);
    }
  }
  void receive(const control& element) override { send_control(element); }

  std::size_t collected(std::size_t lane) const noexcept override {
    return lanes_[lane].collected.size();
  }
  bool push_collected(std::size_t lane, trace_handle&& trace) override {
    return lanes_[lane].ring->push(lanes_[lane].collected, std::move(trace));
  }
  void set_aside(std::size_t lane) override {
    batch<T> fresh(lanes_[lane].collected.capacity());
    lanes_[lane].aside.push_back(std::exchange(lanes_[lane].collected, std::move(fresh)));
  }
  bool push_aside(std::size_t lane, trace_handle&& trace) override {
    if (!lanes_[lane].ring->push(lanes_[lane].aside.front(), std::move(trace))) return false;
    lanes_[lane].aside.pop_front();
    return true;
  }

  template <class Batch>
  void distribute(Batch& records) {
    try {
      counters().batches_in.add();
      counters().records_in.add(records.size());
      const std::size_t n = records.size();
      tracer* const traced = activity().tracer();
      const bool alone = traced != nullptr && traced->following();
      if (MILLRACE_UNLIKELY(alone)) send_all(nullptr);
      if constexpr (std::is_same_v<Distribution, to_workers>) {
        const std::size_t copies = distribution_.all ? lanes_.size() - 1 : 0;
        for (std::size_t lane = 1; lane <= copies; ++lane) {
          for (std::size_t i = 0; i < n; ++i) {
            add(lane, std::as_const(records).value(i), records.time(i));
          }
        }
        for (std::size_t i = 0; i < n; ++i) add(0, forward_value(records, i), records.time(i));
      } else {
        auto* const values = records.values();
        const timestamp* const times = records.times();
        lane_type* const lanes = lanes_.data();
        for (std::size_t i = 0; i < n; ++i) {
          const std::size_t lane = distribution_.target(std::as_const(values[i]));
          batch<T>& to = lanes[lane].collected;
          if constexpr (std::is_const_v<Batch>) {
            to.push(values[i], times[i]);
          } else {
            to.push(std::move(values[i]), times[i]);
          }
          if (MILLRACE_UNLIKELY(to.full())) send(lane);
        }
      }
      if (MILLRACE_UNLIKELY(alone)) send_all(traced);
      distributed();
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
  MILLRACE_ALWAYS_INLINE void add(std::size_t lane, V&& value, timestamp time) {
    batch<T>& to = lanes_[lane].collected;
    to.push(std::forward<V>(value), time);
    if (MILLRACE_UNLIKELY(to.full())) send(lane);
  }

  Distribution distribution_;
  std::vector<lane_type> lanes_;
};

/// Takes from one ring per upstream instance, round robin, and merges their watermarks.
class channel_receiver_base : public subtask {
 public:
  void* input(std::size_t) override { return nullptr; }
  bool polled() const noexcept override { return true; }
  const watermark_merger* input_watermarks() const noexcept override { return &merger_; }

  MILLRACE_DECL double queue_fill() const noexcept override;
  MILLRACE_DECL bool poll() override;

 protected:
  MILLRACE_DECL channel_receiver_base(std::vector<ring_base*> rings, output_base& out);
  MILLRACE_DECL ~channel_receiver_base() override;

  /// Hands the oldest batch of a ring on, and clears it. Returns how many records it had.
  virtual std::size_t hand_on(std::size_t ring) = 0;

 private:
  void apply(std::size_t input, const control& element);
  void cut();

  std::vector<ring_base*> order_;
  output_base& downstream_;
  barrier_alignment alignment_;
  watermark_merger merger_;
};

template <class T>
class channel_receiver final : public channel_receiver_base {
 public:
  explicit channel_receiver(std::vector<std::shared_ptr<batch_ring<T>>> rings)
      : channel_receiver_base(bases_of(rings), out_), rings_(std::move(rings)) {
    out_.count_in(&counters().records_out);
  }

 private:
  void* main_output() override { return &out_; }

  std::size_t hand_on(std::size_t ring) override {
    batch<T>& records = rings_[ring]->records();
    const std::size_t n = records.size();
    out_.forward(records);
    records.clear();
    return n;
  }

  std::vector<std::shared_ptr<batch_ring<T>>> rings_;
  output<T> out_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/runtime/impl/channel.ipp>
#endif
