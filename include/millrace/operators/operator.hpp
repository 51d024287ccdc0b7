// SPDX-License-Identifier: Apache-2.0
/// \file
/// The door for operators, the built-in ones included. An operator is a plain copyable object with
/// `process`; everything else is optional. `operator_subtask` runs it: batches, watermarks,
/// back-pressure, barriers, errors under its name. What an operator may have is written in
/// operators/operator_concepts.hpp. Not thread safe: one copy per worker.
#pragma once

#include <millrace/operators/barriers.hpp>
#include <millrace/operators/context.hpp>
#include <millrace/operators/kept_traces.hpp>
#include <millrace/operators/operator_concepts.hpp>
#include <millrace/operators/operator_inbox.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/operators/watermarks.hpp>

#include <array>
#include <concepts>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace millrace {

/// Tells that an operator comes from a function.
struct built_by {};

/// Runs an operator on a worker.
template <class Op, class... Ins>
class operator_subtask final : public subtask {
 public:
  using out_type = typename Op::output_type;
  using context_type = operator_context<out_type>;

  explicit operator_subtask(Op op) : operator_subtask(built_by{}, [&] { return std::move(op); }) {}

  /// `make()` returns the operator, which need not be movable.
  template <class Make>
  operator_subtask(built_by, Make&& make)
      : op_(make()), context_(*this, out_), merger_(right_is_auxiliary ? 1 : sizeof...(Ins)) {
    bind_ports(std::index_sequence_for<Ins...>{});
    out_.count_in(&counters().records_out);
    if constexpr (keeps_traces<Op>) out_.go_on_with(&kept_);
  }

  Op& op() noexcept { return op_; }

  void open() override {
    if constexpr (requires { op_.open(context_); }) guarded([&] { op_.open(context_); });
  }

  void cancel() noexcept override {
    if constexpr (requires { op_.cancel(); }) op_.cancel();
  }

  void* input(std::size_t i) override {
    void* found = nullptr;
    std::apply([&](auto&... p) { ((p.index == i ? (found = p.as_receiver()) : nullptr), ...); },
               ports_);
    return found;
  }

  void save(snapshot_writer& to) const override {
    if constexpr (requires { op_.save(to); }) op_.save(to);
  }
  void restore(snapshot_reader& from) override {
    if constexpr (requires { op_.restore(from); }) op_.restore(from);
  }
  bool rescalable() const noexcept override { return divides; }
  std::string state_type() const override {
    if constexpr (requires { Op::state_type(); }) return Op::state_type();
    return {};
  }

  const watermark_merger* input_watermarks() const noexcept override {
    return merger_.inputs() > 1 ? &merger_ : nullptr;
  }
  bool waits_for_watermarks() const noexcept override { return waits; }

  void measure() override {
    if constexpr (requires { op_.state_bytes(); }) {
      state_bytes_.set(static_cast<std::int64_t>(op_.state_bytes()));
    }
  }

  /// Continues a suspended hook, then what was held back.
  void resume() override {
    guarded([&] {
      if constexpr (requires { op_.on_resume(context_); }) op_.on_resume(context_);
      if (pending_ && !run_pending()) return flush();
      while (!inbox_.empty() && can_work()) {
        auto item = inbox_.pop();
        std::visit([&](auto& held) { replay(held); }, item);
        if (pending_) return flush();
      }
      if (!pending_ && inbox_.empty()) {
        unblock();
        if (std::exchange(suspended_, false)) unblock_input(0);
      }
      flush();
    });
  }

 private:
  template <std::size_t I>
  using in_type = std::tuple_element_t<I, std::tuple<Ins...>>;

  template <std::size_t I>
  struct port final : receiver<in_type<I>> {
    using value_type = in_type<I>;
    static constexpr std::size_t index = I;
    operator_subtask* owner = nullptr;

    void* as_receiver() noexcept { return static_cast<receiver<value_type>*>(this); }
    void read(const batch<value_type>& records) override { owner->template on_read<I>(records); }
    void take(batch<value_type>& records) override { owner->template on_take<I>(records); }
    void receive(const control& element) override { owner->on_control(I, element); }
  };

  template <std::size_t... I>
  static std::tuple<port<I>...> ports_of(std::index_sequence<I...>);
  using inbox = operator_inbox<Ins...>;
  template <std::size_t I>
  using held_batch = typename inbox::template held_batch<I>;
  using held_control = typename inbox::held_control;

  static constexpr bool waits =
      requires(Op& op, timestamp t, context_type& c) { op.on_watermark(t, c); };
  static constexpr bool keeps_records = requires { requires Op::keeps_records; };
  static constexpr bool divides = requires { requires Op::rescalable; };
  template <std::size_t I>
  using workable = std::conditional_t<keeps_records, batch<in_type<I>>, const batch<in_type<I>>>;
  static constexpr bool right_is_auxiliary = requires { requires Op::right_is_auxiliary; };
  static constexpr bool has_ready = requires(const Op& op) {
    { op.ready() } -> std::convertible_to<bool>;
  };

  template <std::size_t... I>
  void bind_ports(std::index_sequence<I...>) {
    ((std::get<I>(ports_).owner = this), ...);
  }

  void* main_output() override { return &out_; }

  void send_downstream(const control& element) override {
    if (element.kind == control_kind::watermark) {
      counters().watermark.set(element.time.time_since_epoch().count());
    }
    send(element);
  }

  bool can_work() const {
    if (downstream_blocked()) return false;
    if constexpr (has_ready) return op_.ready();
    return true;
  }
  bool must_hold(std::size_t input) const noexcept {
    if (right_is_auxiliary && input == 1) return false;
    return pending_.has_value() || !inbox_.empty();
  }

  template <std::size_t I>
  void on_read(const batch<in_type<I>>& records) {
    if (MILLRACE_UNLIKELY(must_hold(I) || alignment_.holds(I))) {
      held_batch<I> held{batch<in_type<I>>(records.capacity()), hand_over_trace()};
      copy_batch(records, held.records);
      return hold(std::move(held));
    }
    guarded([&] {
      if constexpr (keeps_records) {
        copy_batch(records, std::get<I>(copies_));
        run<I>(std::get<I>(copies_));
      } else {
        run<I>(records);
      }
      flush();
    });
  }

  template <std::size_t I>
  void on_take(batch<in_type<I>>& records) {
    if (MILLRACE_UNLIKELY(must_hold(I) || alignment_.holds(I))) {
      held_batch<I> held{batch<in_type<I>>(records.capacity()), hand_over_trace()};
      held.records.swap(records);
      return hold(std::move(held));
    }
    guarded([&] {
      run<I>(static_cast<workable<I>&>(records));
      flush();
    });
  }

  template <class Held>
  void hold(Held held) {
    if (must_hold(held.input)) return inbox_.push(std::move(held));
    inbox_.push_behind_barrier(std::move(held));
  }

  template <std::size_t I, class Batch>
  void run(Batch& records) {
    tracer* const t = activity().tracer();
    if (MILLRACE_LIKELY(t == nullptr || !t->following())) return run_batch<I>(records);
    const fate_of_record fate(counters());
    run_batch<I>(records);
    flush();
    if (keeps_traces<Op> && !blocked() && fate.kept(counters())) kept_.add(records.slot(0), *t);
  }

  template <std::size_t I, class Batch>
  void run_batch(Batch& records) {
    const std::size_t n = records.size();
    counters().batches_in.add();
    if constexpr (requires { op_.process_batch(records, context_); }) {
      counters().records_in.add(n);
      process_apart(records);
    } else {
      for (std::size_t i = 0; i < n; ++i) {
        if constexpr (has_ready) {
          if (MILLRACE_UNLIKELY(!op_.ready())) {
            counters().records_in.add(i);
            hold_rest<I>(records, i);
            return block();
          }
        }
        context_.set_current(records.time(i), records.slot(i));
        call<I>(records.value(i));
      }
      counters().records_in.add(n);
    }
  }

  /// A function of its own, so that what surrounds it takes no registers from the operator's loop.
  template <class Batch>
  MILLRACE_NOINLINE void process_apart(Batch& records) {
    op_.process_batch(records, context_);
  }

  template <std::size_t I, class Batch>
  void hold_rest(Batch& records, std::size_t from) {
    held_batch<I> held{batch<in_type<I>>(records.capacity()), hand_over_trace()};
    for (std::size_t i = from; i < records.size(); ++i) {
      if constexpr (std::is_const_v<Batch>) {
        held.records.push(records.value(i), records.time(i), records.slot(i));
      } else {
        held.records.push(std::move(records.value(i)), records.time(i), records.slot(i));
      }
    }
    inbox_.push_front(std::move(held));
  }

  template <std::size_t I, class V>
  MILLRACE_ALWAYS_INLINE void call(V& value) {
    using handed = std::conditional_t<keeps_records, V&&, V&>;
    if constexpr (sizeof...(Ins) == 1) {
      op_.process(static_cast<handed>(value), context_);
    } else if constexpr (I == 0) {
      op_.process_left(static_cast<handed>(value), context_);
    } else {
      op_.process_right(static_cast<handed>(value), context_);
    }
  }

  template <std::size_t I>
  void replay(held_batch<I>& held) {
    if (alignment_.holds(I)) return inbox_.push_behind_barrier(std::move(held));
    if (MILLRACE_UNLIKELY(held.trace != nullptr)) flush();
    const trace_scope traced(activity().tracer(), name(), std::move(held.trace));
    run<I>(static_cast<workable<I>&>(held.records));
  }
  void replay(const held_control& held) {
    if (alignment_.holds(held.input)) return inbox_.push_behind_barrier(held);
    apply_control(held.input, held.element);
  }

  void on_control(std::size_t input, const control& element) {
    if (must_hold(input) || alignment_.holds(input)) return hold(held_control{input, element});
    guarded([&] {
      apply_control(input, element);
      flush();
    });
  }

  void apply_control(std::size_t input, const control& element) {
    if (element.kind == control_kind::barrier) return on_barrier(input, element.id);
    if (element.kind == control_kind::end && alignment_.end(input)) cut();
    if (element.kind == control_kind::latency) {
      if (input == 0) send(element);  // where streams meet, one of them is enough
      return;
    }
    if (right_is_auxiliary && input == 1) {
      if constexpr (requires { op_.on_right_end(context_); }) {
        if (element.kind == control_kind::end) op_.on_right_end(context_);
      }
      return;
    }
    const watermark_change change = merger_.apply(input, element, env());
    if (change.woke_up) send(control::active());
    if (change.advanced || change.went_idle || change.ended) {
      pending_ = change;
      run_pending();
    }
  }

  void on_barrier(std::size_t input, std::uint64_t id) {
    if (finished()) return;  // only an auxiliary input still goes on
    if (alignment_.arrive(input, id)) return cut();
    paused_[input] = block_input(input);
  }

  /// All inputs stand at the barrier: what they brought before it is in the state.
  void cut() {
    const auto id = alignment_.id();
    alignment_.finish();
    acknowledge_barrier(id);
    send(control::barrier(id));
    for (std::size_t i = 0; i < sizeof...(Ins); ++i) {
      if (std::exchange(paused_[i], false)) unblock_input(i);
    }
    inbox_.release_barrier();
    if (!inbox_.empty()) host().schedule_resume(*this);
  }

  /// Finishes what a control element has started. False when suspended.
  bool run_pending() {
    auto& change = *pending_;
    if (change.advanced) {
      const timestamp now = merger_.watermark();
      context_.set_watermark(now);
      context_.set_current(now, no_slot);
      if constexpr (requires { op_.queue_watermark(now, context_); }) {
        op_.queue_watermark(now, context_);
      } else {
        if constexpr (requires { op_.on_watermark(now, context_); }) {
          if (!call_hook([&] { return op_.on_watermark(now, context_); })) return suspend();
        }
        send_downstream(control::watermark(now));
      }
      change.advanced = false;
    }
    if (change.went_idle) {
      send(control::idle());
      change.went_idle = false;
    }
    if (change.ended) {
      if constexpr (requires { op_.on_end(context_); }) {
        if (!call_hook([&] { return op_.on_end(context_); })) return suspend();
      }
      send(control::end());
      mark_finished();
    }
    pending_.reset();
    return true;
  }

  bool suspend() {
    // What it waits for may come from an auxiliary input.
    if (right_is_auxiliary) suspended_ = block_input(0) || suspended_;
    if (!right_is_auxiliary) block();
    return false;
  }

  template <class F>
  static bool call_hook(F&& hook) {
    if constexpr (!std::is_void_v<decltype(hook())>) return hook() == progress::done;
    hook();
    return true;
  }

  void flush() { out_.flush(), flush_sides(); }
  void send(const control& element) {
    out_.send(element);
    send_to_sides(element);
  }

  Op op_;
  kept_traces kept_{activity()};
  output<out_type> out_;
  context_type context_;
  watermark_merger merger_;
  decltype(ports_of(std::index_sequence_for<Ins...>{})) ports_;
  std::tuple<batch<Ins>...> copies_{batch<Ins>(keeps_records ? default_batch_capacity : 0)...};
  inbox inbox_;
  barrier_alignment alignment_{sizeof...(Ins)};
  std::array<bool, sizeof...(Ins)> paused_{};  // for the alignment's sake
  std::optional<watermark_change> pending_;
  bool suspended_ = false;  // the left input
};

}  // namespace millrace
