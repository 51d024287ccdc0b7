// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/runtime/channel.hpp>

#include <algorithm>

namespace millrace {

MILLRACE_DECL channel_sender_base::channel_sender_base(const std::vector<ring_base*>& rings)
    : order_(rings.size()) {
  for (std::size_t lane = 0; lane < rings.size(); ++lane) order_[lane].ring = rings[lane];
}
MILLRACE_DECL channel_sender_base::~channel_sender_base() = default;

MILLRACE_DECL void* channel_sender_base::main_output() { return nullptr; }

MILLRACE_DECL bool channel_sender_base::poll() {
  bool stuck = false;
  for (std::size_t lane = 0; lane < order_.size(); ++lane) {
    drain(lane);
    stuck = stuck || !order_[lane].waiting.empty();
    feed(lane);
  }
  if (!stuck) {
    unblock();
    if (ending_) mark_finished();
  }
  return false;
}

// A partial batch is worth sending when the other side has nothing to do.
inline void channel_sender_base::feed(std::size_t lane) {
  if (collected(lane) != 0 && order_[lane].waiting.empty() && order_[lane].ring->empty()) {
    send(lane);
  }
}

MILLRACE_DECL void channel_sender_base::send(std::size_t lane, trace_handle trace) {
  counters().records_out.add(collected(lane));
  if (order_[lane].waiting.empty() && push_collected(lane, std::move(trace))) return;
  set_aside(lane);
  order_[lane].waiting.push_back({std::nullopt, std::move(trace)});
  wait(lane);
}

MILLRACE_DECL void channel_sender_base::send_all(tracer* traced) {
  for (std::size_t lane = 0; lane < order_.size(); ++lane) {
    if (collected(lane) == 0) continue;
    send(lane, traced != nullptr ? traced->hand_over() : nullptr);
  }
}

MILLRACE_DECL void channel_sender_base::distributed() {
  for (std::size_t lane = 0; lane < order_.size(); ++lane) feed(lane);
  // Partial batches left here go with the next records, control element, or `poll`.
  host().wake();
}

MILLRACE_DECL void channel_sender_base::send_control(const control& element) {
  if (element.kind == control_kind::barrier) acknowledge_barrier(element.id);
  for (std::size_t lane = 0; lane < order_.size(); ++lane) {
    if (collected(lane) != 0) send(lane);
    if (order_[lane].waiting.empty() && order_[lane].ring->push(element)) continue;
    order_[lane].waiting.push_back({element, nullptr});
    wait(lane);
  }
  if (element.kind == control_kind::end) {
    ending_ = true;
    poll();
  }
}

inline void channel_sender_base::wait(std::size_t lane) {
  block();
  if (!order_[lane].ring->wait_for_room()) drain(lane);
}

inline void channel_sender_base::drain(std::size_t lane) {
  lane_order& order = order_[lane];
  while (!order.waiting.empty()) {
    auto& next = order.waiting.front();
    const bool sent =
        next.signal ? order.ring->push(*next.signal) : push_aside(lane, std::move(next.trace));
    if (!sent && order.ring->wait_for_room()) return;
    if (sent) order.waiting.pop_front();
  }
}

MILLRACE_DECL channel_receiver_base::channel_receiver_base(std::vector<ring_base*> rings,
                                                           output_base& out)
    : order_(std::move(rings)),
      downstream_(out),
      alignment_(order_.size()),
      merger_(order_.size()) {}
MILLRACE_DECL channel_receiver_base::~channel_receiver_base() = default;

MILLRACE_DECL double channel_receiver_base::queue_fill() const noexcept {
  double fill = 0;
  for (const ring_base* ring : order_) fill = std::max(fill, ring->fill());
  return fill;
}

MILLRACE_DECL bool channel_receiver_base::poll() {
  bool any = false;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    if (alignment_.holds(i)) continue;  // what lies behind a barrier waits in its ring
    if (!order_[i]->look()) continue;
    any = true;
    if (const auto& signal = order_[i]->signal()) {
      apply(i, *signal);
    } else {
      counters().batches_in.add();
      const trace_scope traced(activity().tracer(), name(), order_[i]->take_trace());
      counters().records_in.add(hand_on(i));
    }
    order_[i]->pop();
    if (downstream_blocked()) break;
  }
  return any;
}

inline void channel_receiver_base::apply(std::size_t input, const control& element) {
  if (element.kind == control_kind::latency) note_latency(&activity(), element.id);
  if (element.kind == control_kind::latency) return downstream_.send(element);
  if (element.kind == control_kind::barrier) {
    if (alignment_.arrive(input, element.id)) cut();
    return;
  }
  if (element.kind == control_kind::end && alignment_.end(input)) cut();
  const watermark_change change = merger_.apply(input, element, env());
  if (change.woke_up) downstream_.send(control::active());
  if (change.advanced) {
    counters().watermark.set(merger_.watermark().time_since_epoch().count());
    downstream_.send(control::watermark(merger_.watermark()));
  }
  if (change.went_idle) downstream_.send(control::idle());
  if (change.ended) {
    downstream_.send(control::end());
    mark_finished();
  }
}

inline void channel_receiver_base::cut() {
  const auto id = alignment_.id();
  alignment_.finish();
  acknowledge_barrier(id);
  downstream_.send(control::barrier(id));
}

}  // namespace millrace
