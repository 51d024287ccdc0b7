// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/operators/tracer.hpp>

namespace millrace {

MILLRACE_DECL tracer::tracer(std::uint32_t worker, const trace_settings& settings,
                             trace_collector& to)
    : worker_(worker), settings_(settings), to_(to) {}

MILLRACE_DECL tracer::~tracer() = default;

MILLRACE_DECL void tracer::start(environment& env) {
  env_ = &env;
  random_ = env.random();
}

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
MILLRACE_DECL std::uint64_t tracer::next_id() noexcept {
  std::uint64_t z = random_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30u)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27u)) * 0x94d049bb133111ebu;
  z ^= z >> 31u;
  return z != 0 ? z : next_id();
}

MILLRACE_DECL void tracer::add(trace_event event) {
  constexpr std::size_t most_buffered = 1024;
  if (!to_.wanted()) return;
  events_.push_back(std::move(event));
  if (events_.size() >= most_buffered) flush();
}

MILLRACE_DECL void tracer::flush() {
  if (!events_.empty()) to_.collect(worker_, events_);
  events_.clear();
}

MILLRACE_DECL void tracer::push(frame f) {
  frames_.push_back(std::move(f));
  update_outgoing();
}

MILLRACE_DECL void tracer::update_outgoing() {
  if (!following()) return env_->set_trace(nullptr);
  const frame& top = frames_.back();
  outgoing_.trace_high = top.trace->high;
  outgoing_.trace_low = top.trace->low;
  outgoing_.span = top.span;
  outgoing_.sampled = true;
  outgoing_.state = top.trace->state;
  if (settings_.propagates) env_->set_trace(&outgoing_);
}

MILLRACE_DECL void tracer::begin(std::string_view part, std::size_t records) {
  const bool followed = records > 0 && following();
  const auto time = followed || settings_.all_batches ? now() : std::chrono::nanoseconds{};
  frame f{part, time, records, nullptr, 0, 0, false};
  if (followed) {
    f.trace = frames_.back().trace;
    f.parent = frames_.back().span;
    f.span = next_id();
  }
  push(std::move(f));
}

MILLRACE_DECL void tracer::begin_trace(std::string_view part, const trace_context* parent) {
  auto trace = std::make_shared<trace_root>();
  frame f{part, now(), 1, nullptr, next_id(), 0, false};
  if (parent != nullptr) {
    *trace = {parent->trace_high, parent->trace_low, parent->state};
    f.parent = parent->span;
  } else {
    *trace = {next_id(), next_id(), {}};
  }
  f.trace = std::move(trace);
  samples_.add();
  push(std::move(f));
}

MILLRACE_DECL void tracer::resume(std::string_view part, trace_handle link, std::size_t records) {
  if (link == nullptr) return push({part, now(), 0, nullptr, 0, 0, false});
  push({part, now(), records, link->trace, next_id(), link->span, false});
  join(std::move(link));
}

MILLRACE_DECL void tracer::join(trace_handle link) {
  if (link == nullptr || frames_.empty()) return;
  const frame& here = frames_.back();
  const auto time = now();
  if (link->since != no_time) {
    add({trace_event::kind::wait, here.part, link->since, time - link->since, link->flow,
         link->span, link->flow, link->trace});
  }
  if (link->flow == 0) return;
  add({trace_event::kind::flow_in, here.part, time, {}, link->flow, here.span, 0, link->trace});
}

MILLRACE_DECL trace_handle tracer::hand_over() {
  if (!following()) return nullptr;
  const frame& here = frames_.back();
  const auto time = now();
  auto link = std::make_unique<trace_link>(trace_link{here.trace, here.span, next_id(), time});
  add({trace_event::kind::flow_out, here.part, time, {}, link->flow, here.span, 0, here.trace});
  return link;
}

MILLRACE_DECL void tracer::end() noexcept {
  constexpr auto shortest = std::chrono::microseconds{1};
  frame f = std::move(frames_.back());
  frames_.pop_back();
  try {
    if (f.trace != nullptr || settings_.all_batches) {
      const auto length = now() - f.began;
      // What only looked whether there was something to do is not shown.
      const bool busy = f.records > 0 || f.worth_keeping || length >= shortest;
      if (f.trace == nullptr && !busy) return update_outgoing();
      if (!frames_.empty()) frames_.back().worth_keeping = true;
      add({trace_event::kind::slice, f.part, f.began, length, f.span, f.parent, 0,
           std::move(f.trace), f.records});
    }
    update_outgoing();
  } catch (const std::bad_alloc&) {
    // An event less.
  }
}

MILLRACE_DECL std::uint64_t tracer::begin_span(std::string_view name, const trace_link& below,
                                               std::uint64_t group) {
  const auto id = next_id();
  add({trace_event::kind::begin,
       name,
       now(),
       {},
       id,
       below.span,
       group != 0 ? group : id,
       below.trace});
  return id;
}

MILLRACE_DECL void tracer::end_span(std::string_view name, const trace_link& below,
                                    std::uint64_t id, std::uint64_t group, std::string outcome) {
  add({trace_event::kind::end,
       name,
       now(),
       {},
       id,
       below.span,
       group,
       below.trace,
       0,
       std::move(outcome)});
}

}  // namespace millrace
