// SPDX-License-Identifier: Apache-2.0
/// \file
/// The operator that makes an asynchronous call for each record: bounded, with timeout, retries,
/// lanes and the order asked for (semantics.md, Async I/O). Not thread safe but for replies.
#pragma once

#include <millrace/operators/async.hpp>
#include <millrace/operators/async_lanes.hpp>
#include <millrace/operators/async_policies.hpp>
#include <millrace/operators/context.hpp>
#include <millrace/operators/reply_mailbox.hpp>
#include <millrace/state/keyed_state.hpp>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace millrace {

/// `Out` is R, or R's element type when `Flatten`.
template <class In, class R, bool Flatten, class F, class LaneOf = one_lane>
class async_operator {
 public:
  using output_type = typename async_element<R, Flatten>::type;
  using context = operator_context<output_type>;
  static constexpr bool keeps_records = true;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<In>(); }
  static constexpr bool follows_traces = true;
  static constexpr bool has_lanes = !std::is_same_v<LaneOf, one_lane>;

  /// Takes the place of a result when a call has failed for good.
  using fallback_function = std::function<R(const In&, const error&)>;

  async_operator(F f, async_options options, LaneOf lane_of = {}, fallback_function fallback = {})
      : f_(std::move(f)),
        lane_of_(std::move(lane_of)),
        options_(std::move(options)),
        fallback_(std::move(fallback)) {}
  async_operator(const async_operator& other)
      : f_(other.f_),
        lane_of_(other.lane_of_),
        options_(other.options_),
        fallback_(other.fallback_) {}
  async_operator(async_operator&&) noexcept = default;
  ~async_operator() { cancel(); }

  void open(context& c) {
    context_ = &c;
    lanes_.emplace(options_, c.metrics());
    if constexpr (!has_lanes) lanes_->of({});
    mailbox_ = std::make_shared<reply_mailbox<R>>(
        c.env(),
        [this](std::uint64_t call, std::variant<R, error> what) { arrived(call, std::move(what)); },
        [this](std::uint64_t call, std::function<void()> hook) {
          if (call_state* found = find(call)) found->cancel = std::move(hook);
        });
    mailbox_->set_self(mailbox_);
    mailbox_->set_metrics(c.metrics());
    if (!restored_.empty()) c.request_resume();
  }

  bool can_pass() const {
    return restored_.empty() && (outstanding_ == 0 || segments_.free_order(options_.order));
  }
  bool ready() const {
    if (has_lanes && options_.overflow == on_overflow::refuse) {
      return outstanding_ < options_.most_lanes * (options_.in_flight + options_.waiting);
    }
    if (has_lanes) return !lanes_->any_full();
    return outstanding_ < options_.in_flight;
  }

  void process(In&& value, context& c) {
    if (MILLRACE_UNLIKELY(!restored_.empty())) accept_restored();
    accept(std::move(value), c.time(), c.slot());
  }

  void queue_watermark(timestamp time, context& c) {
    accept_restored();
    if (segments_.empty()) return c.forward_watermark(time);
    segments_.close(time);
  }

  void on_resume(context& c) {
    accept_restored();
    start_waiting();
    emit_finished(c);
  }

  progress on_end(context&) {
    accept_restored();
    return outstanding_ == 0 ? progress::done : progress::suspended;
  }

  void cancel() noexcept {
    if (!mailbox_) return;
    mailbox_->close();
    mailbox_.reset();
    if (context_ != nullptr) context_->env().cancel_timer(deadline_timer_);
    for (auto& call : calls_) {
      if (call.cancel) std::exchange(call.cancel, {})();
    }
  }

  /// Inputs whose results have not left yet; they are issued again after `restore`.
  void save(snapshot_writer& to) const {
    to.varint(outstanding_ + restored_.size());
    segments_.for_each([&](std::uint32_t i) { save_input(to, calls_[i].value, calls_[i].time); });
    for (const auto& r : restored_) save_input(to, r.value, r.time);
  }
  void restore(snapshot_reader& from) {
    const std::size_t n = from.count(1);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      saved s{};
      restore_value(from, s.value);
      restore_value(from, s.time);
      if (from.scope() == nullptr || from.scope()->heir) restored_.push_back(std::move(s));
    }
    if (context_ != nullptr) context_->request_resume();
  }

 private:
  using call_state = async_call<In, R>;
  using phase = call_phase;
  struct saved {
    In value{};
    timestamp time{};
  };

  static void save_input(snapshot_writer& to, const In& value, timestamp time) {
    save_value(to, value);
    save_value(to, time);
  }

  static std::uint64_t name_of(std::uint32_t index, std::uint32_t generation) noexcept {
    return (std::uint64_t{generation} << 32U) | index;
  }
  call_state* find(std::uint64_t name) {
    auto& call = calls_[static_cast<std::uint32_t>(name)];
    return call.generation == name >> 32U ? &call : nullptr;
  }

  // What was in flight comes before everything else, watermarks included.
  void accept_restored() {
    for (auto& r : std::exchange(restored_, {})) accept(std::move(r.value), r.time, no_slot);
  }

  void accept(In&& value, timestamp time, slot_index slot) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(calls_.size()));
      calls_.emplace_back();
    }
    const std::uint32_t i = free_.back();
    free_.pop_back();
    auto& call = calls_[i];
    call.value = std::move(value);
    call.time = time;
    call.slot = slot;
    call.attempt = 0;
    call.epoch = segments_.current();
    call.lane = &lanes_->of(std::invoke(lane_of_, std::as_const(call.value)));
    segments_.add(i);
    ++outstanding_;
    call.trace.begin(context_->owner());
    auto& lane = *call.lane;
    if (lane.in_flight < options_.in_flight && lane.waiting.empty()) return begin(i);
    if (lane.waiting.size() >= options_.waiting && options_.overflow == on_overflow::refuse) {
      lane.refused.add();
      return give_up(i, {make_error_code(errc::overloaded), "lane " + lane.name});
    }
    call.now = phase::waiting;
    lane.wait(i);
  }

  void start_waiting() {
    for (auto& lane : lanes_->all()) {
      while (!lane->waiting.empty() && lane->in_flight < options_.in_flight) {
        begin(lane->next());
      }
    }
  }

  void begin(std::uint32_t i) {
    auto& call = calls_[i];
    ++call.lane->in_flight;
    call.lane->in_flight_now.add(1);
    call.deadline = now() + options_.timeout;
    deadlines_.add({call.deadline, i, call.generation}, [this](const call_deadlines::entry& e) {
      return calls_[e.call].generation != e.generation;
    });
    arm_deadline();
    attempt(i);
  }

  void attempt(std::uint32_t i) {
    auto& call = calls_[i];
    const auto time = now();
    if (!call.lane->breaker.allow(time)) {
      call.lane->refused.add();
      return finish_failed(i, {make_error_code(errc::circuit_open), call.lane->name});
    }
    if (++call.attempt > 1) call.lane->retries.add();
    call.now = phase::running;
    call.started = time;
    call.lane->calls.add();
    // The deadline list knows the call by its first generation of this use: keep it until it ends.
    async_reply<R> reply(mailbox_, name_of(i, call.generation));
    const trace_scope traced = call.trace.attempt();
    try {
      std::invoke(f_, std::as_const(call.value), std::move(reply));
    } catch (const std::exception& e) {
      throw pipeline_error(context_->name(), std::string("asynchronous function: ") + e.what());
    }
  }

  void arrived(std::uint64_t name, std::variant<R, error> what) {
    call_state* call = find(name);
    if (call == nullptr || call->now != phase::running) return;
    const auto i = static_cast<std::uint32_t>(name);
    call->cancel = nullptr;
    call->lane->microseconds.add(
        static_cast<std::uint64_t>((now() - call->started) / std::chrono::microseconds{1}));
    if (what.index() == 0) {
      call->lane->breaker.succeeded();
      call->result.emplace(std::move(std::get<0>(what)));
      call->trace.end([] { return "ok"; });
      return finish(i);
    }
    call->trace.answered([&] { return std::get<1>(what).to_string(); });
    call->lane->failures.add();
    call->lane->breaker.failed(now());
    retry_or_fail(i, std::move(std::get<1>(what)));
  }

  void retry_or_fail(std::uint32_t i, error why) {
    auto& call = calls_[i];
    const auto& retry = options_.retry;
    const bool wanted = call.attempt < retry.attempts && (!retry.when || retry.when(why));
    const auto delay = wanted ? retry_delay(retry, call.attempt, context_->env().random())
                              : std::chrono::nanoseconds{};
    if (!wanted || now() + delay >= call.deadline) return finish_failed(i, std::move(why));
    call.now = phase::delayed;
    call.retry_timer = context_->env().call_after(delay, [this, i] {
      calls_[i].retry_timer = 0;
      attempt(i);
    });
  }

  void arm_deadline() {
    const auto next = deadlines_.next();
    if (deadline_timer_ != 0 || !next) return;
    const auto wait = std::max(*next - now(), std::chrono::nanoseconds{0});
    deadline_timer_ = context_->env().call_after(wait, [this] {
      deadline_timer_ = 0;
      expire();
    });
  }

  void expire() {
    const auto time = now();
    while (const auto due = deadlines_.take_due(time)) {
      auto& call = calls_[due->call];
      if (call.generation != due->generation || call.now == phase::finished) continue;
      if (call.now == phase::running) {
        call.lane->timeouts.add();
        call.lane->failures.add();
        call.lane->breaker.failed(time);
      }
      context_->env().cancel_timer(std::exchange(call.retry_timer, 0));
      auto hook = std::exchange(call.cancel, {});
      finish_failed(due->call, {make_error_code(errc::timeout), {}});
      if (hook) hook();
    }
    arm_deadline();
  }

  /// The call is over; its slot in the lane is free at once, later answers are ignored.
  void finish(std::uint32_t i) {
    auto& call = calls_[i];
    call.now = phase::finished;
    ++call.generation;
    --call.lane->in_flight;
    call.lane->in_flight_now.add(-1);
    finished_.push_back(i);
    context_->request_resume();
  }

  void finish_failed(std::uint32_t i, error why) {
    report(i, why);
    finish(i);
  }

  void give_up(std::uint32_t i, const error& why) {
    report(i, why);
    calls_[i].now = phase::finished;
    ++calls_[i].generation;
    finished_.push_back(i);
    context_->request_resume();
  }

  void report(std::uint32_t i, const error& why) {
    auto& call = calls_[i];
    call.trace.end([&] { return why.to_string(); });
    call.result.reset();
    if (fallback_) {
      call.result.emplace(fallback_(std::as_const(call.value), why));
      return;
    }
    if (options_.failure == on_failure::ignore) return context_->counters().filtered.add();
    if (options_.failure == on_failure::fail && failures_.exceeded(now(), options_)) {
      context_->fail(why);
    }
    context_->set_current(call.time, call.slot);
    context_->dead_letter(why.to_string(), dead_letter_payload(call.value));
  }

  void emit_finished(context& c) {
    if (options_.order == async_order::as_completed) {
      emit_any(c);
    } else {
      finished_.clear();
    }
    while (!c.downstream_blocked()) {
      auto& first = segments_.front();
      if (options_.order != async_order::as_completed) emit_segment(first, c);
      if (!first.order.empty() || !first.closing) break;
      c.forward_watermark(*first.closing);
      segments_.pop_front();
    }
  }

  void emit_segment(call_segments::segment& s, context& c) {
    if (options_.order == async_order::ordered) {
      while (!s.order.empty() && done(s.order.front()) && !c.downstream_blocked()) {
        emit(s.order.front(), c);
        s.order.pop_front();
      }
      return;
    }
    std::erase_if(s.order, [&](std::uint32_t i) {
      if (!done(i) || c.downstream_blocked()) return false;
      emit(i, c);
      return true;
    });
  }

  /// Results overtake watermarks, never the other way round: a record before its watermark.
  void emit_any(context& c) {
    std::size_t sent = 0;
    for (; sent < finished_.size() && !c.downstream_blocked(); ++sent) {
      const std::uint32_t i = finished_[sent];
      segments_.remove(calls_[i].epoch, i);
      emit(i, c);
    }
    finished_.erase(finished_.begin(), finished_.begin() + static_cast<std::ptrdiff_t>(sent));
  }

  bool done(std::uint32_t i) const { return calls_[i].now == phase::finished; }

  void emit(std::uint32_t i, context& c) {
    auto& call = calls_[i];
    emit_result<Flatten>(call, c);
    --outstanding_;
    free_.push_back(i);
  }

  std::chrono::nanoseconds now() const { return context_->env().monotonic(); }

  F f_;
  LaneOf lane_of_;
  async_options options_;
  fallback_function fallback_;
  context* context_ = nullptr;
  std::optional<async_lanes> lanes_;
  std::shared_ptr<reply_mailbox<R>> mailbox_;
  std::deque<call_state> calls_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> finished_;
  call_segments segments_;
  call_deadlines deadlines_;
  timer_id deadline_timer_ = 0;
  failure_window failures_;
  std::size_t outstanding_ = 0;
  std::vector<saved> restored_;
};

}  // namespace millrace
