// SPDX-License-Identifier: Apache-2.0
/// \file
/// The union of several streams of one type, watermarks merged; and the split of one stream in two.
/// Not thread safe.
#pragma once

#include <millrace/operators/barriers.hpp>
#include <millrace/operators/context.hpp>
#include <millrace/operators/port.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/operators/watermarks.hpp>

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

namespace millrace {

/// Hands on the batches of all inputs as they come.
template <class T>
class merge_subtask final : public subtask {
 public:
  explicit merge_subtask(std::size_t inputs) : alignment_(inputs), merger_(inputs) {
    for (std::size_t i = 0; i < inputs; ++i) ports_.emplace_back(*this, i);
    out_.count_in(&counters().records_out);
  }

  void* input(std::size_t i) override { return static_cast<receiver<T>*>(&ports_[i]); }

  const watermark_merger* input_watermarks() const noexcept override { return &merger_; }

 private:
  struct port final : receiver<T> {
    port(merge_subtask& o, std::size_t i) : owner(o), index(i), copy(0) {}
    void read(const batch<T>& records) override {
      if (copy.capacity() < records.size()) copy = batch<T>(records.capacity());
      copy_batch(records, copy);
      take(copy);
      copy.clear();
    }
    void take(batch<T>& records) override {
      if (MILLRACE_UNLIKELY(owner.alignment_.holds(index))) {
        owner.behind_.push_back({index, batch<T>(records.capacity()), {}, owner.hand_over_trace()});
        return owner.behind_.back().records->swap(records);
      }
      owner.counters().batches_in.add();
      owner.counters().records_in.add(records.size());
      owner.out_.forward(records);
    }
    void receive(const control& element) override {
      if (owner.alignment_.holds(index)) {
        return owner.behind_.push_back({index, {}, element, nullptr});
      }
      owner.apply(index, element);
    }
    merge_subtask& owner;
    std::size_t index;
    batch<T> copy;
  };

  void* main_output() override { return &out_; }

  void apply(std::size_t input, const control& element) {
    if (element.kind == control_kind::barrier) {
      if (alignment_.arrive(input, element.id)) return cut();
      block_input(input);
      return;
    }
    if (element.kind == control_kind::end && alignment_.end(input)) cut();
    if (element.kind == control_kind::latency) return out_.send(element);
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

  /// All inputs stand at the barrier.
  void cut() {
    const auto id = alignment_.id();
    alignment_.finish();
    acknowledge_barrier(id);
    out_.send(control::barrier(id));
    auto behind = std::exchange(behind_, {});
    for (auto& waiting : behind) {
      if (waiting.records) {
        const trace_scope traced(activity().tracer(), name(), std::move(waiting.trace));
        ports_[waiting.input].take(*waiting.records);
      } else {
        ports_[waiting.input].receive(*waiting.element);
      }
    }
    for (std::size_t i = 0; i < ports_.size(); ++i) unblock_input(i);
  }

  /// Of an input whose barrier has come before those of others.
  struct held {
    std::size_t input;
    std::optional<batch<T>> records;
    std::optional<control> element;
    trace_handle trace;
  };

  std::deque<port> ports_;
  std::deque<held> behind_;
  barrier_alignment alignment_;
  watermark_merger merger_;
  output<T> out_;
};

/// Sends what satisfies the predicate on, and the rest to the side output.
template <class T, class F>
struct split_operator {
  using output_type = T;
  static constexpr bool keeps_records = true;

  void process(T&& value, operator_context<T>& out) {
    if (std::invoke(predicate, std::as_const(value))) {
      out.emit(std::move(value));
    } else {
      out.emit_to(rest, std::move(value));
    }
  }

  F predicate;
  side_output<T> rest;
};

}  // namespace millrace
