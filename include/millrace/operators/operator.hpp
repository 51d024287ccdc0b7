// SPDX-License-Identifier: Apache-2.0
/// \file
/// The door for operators, the built-in ones included. An operator is a plain copyable object with
/// `process`; everything else is optional. `operator_subtask` runs it: batches, watermarks,
/// back-pressure, errors under its name. Not thread safe: one copy per worker.
///
///     struct smooth {
///       using output_type = double;
///       void process(double value, operator_context<double>& out) {
///         average = 0.9 * average + 0.1 * value;
///         out.emit(average);
///       }
///       void save(snapshot_writer& to) const { serialize(to, average); }
///       void restore(snapshot_reader& from) { deserialize(from, average); }
///       double average = 0;
///     };
///
/// Optional members, with `C` = `operator_context<output_type>`:
/// - `void open(C&)`: before the first record.
/// - `progress|void on_watermark(timestamp, C&)`: before the watermark is handed on.
/// - `progress|void on_end(C&)`: no more records; suspended until outstanding work is done.
/// - `void queue_watermark(timestamp, C&)`: instead of `on_watermark`, for operators that hold
/// records
///   without holding back their input: they call `C::forward_watermark` when it is time.
/// - `void on_resume(C&)`: after `request_resume`, and when downstream takes records again.
/// - `bool ready() const`: asked before each record; false holds records back until `on_resume`.
/// - `void cancel()`: the pipeline stops without draining.
/// - `save`, `restore`: all state. With keyed state: in terms of keys, never of slots.
/// - `std::size_t state_bytes() const`: memory its state takes, in O(1); asked now and then.
/// - `static constexpr bool keeps_records = true`: `process` takes `In&&` and keeps the value.
/// With two inputs: `process_left` and `process_right` instead of `process`, and
/// - `static constexpr bool right_is_auxiliary = true`: the right input has no say in watermarks,
/// and
///   the operator ends with its left input; `void on_right_end(C&)` tells that nothing more comes.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/operators/operator_concepts.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/operators/watermarks.hpp>

#include <concepts>
#include <deque>
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
        auto item = std::move(inbox_.front());
        inbox_.pop_front();
        std::visit([&](auto& held) { replay(held); }, item);
        if (pending_) return flush();
      }
      if (!pending_ && inbox_.empty()) unblock();
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

  template <std::size_t I>
  struct held_batch {
    batch<in_type<I>> records;
    std::size_t next = 0;
  };
  struct held_control {
    std::size_t input;
    control element;
  };
  template <class Sequence>
  struct helper;
  template <std::size_t... I>
  struct helper<std::index_sequence<I...>> {
    using ports = std::tuple<port<I>...>;
    using held = std::variant<held_control, held_batch<I>...>;
  };
  using helpers = helper<std::index_sequence_for<Ins...>>;

  static constexpr bool waits =
      requires(Op& op, timestamp t, context_type& c) { op.on_watermark(t, c); };
  static constexpr bool keeps_records = requires { requires Op::keeps_records; };
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
    if (MILLRACE_UNLIKELY(must_hold(I))) return hold<I>(records);
    guarded([&] {
      if constexpr (keeps_records) {
        copy_batch(records, std::get<I>(copies_));
        run_batch<I>(std::get<I>(copies_), 0);
      } else {
        run_batch<I>(records, 0);
      }
      flush();
    });
  }

  template <std::size_t I>
  void on_take(batch<in_type<I>>& records) {
    if (MILLRACE_UNLIKELY(must_hold(I))) {
      held_batch<I> held{batch<in_type<I>>(records.capacity()), 0};
      held.records.swap(records);
      inbox_.emplace_back(std::move(held));
      return;
    }
    guarded([&] {
      if constexpr (keeps_records) {
        run_batch<I>(records, 0);
      } else {
        run_batch<I>(std::as_const(records), 0);
      }
      flush();
    });
  }

  template <std::size_t I>
  void hold(const batch<in_type<I>>& records, std::size_t from = 0) {
    held_batch<I> held{batch<in_type<I>>(records.capacity()), 0};
    for (std::size_t i = from; i < records.size(); ++i) {
      held.records.push(records.value(i), records.time(i), records.slot(i));
    }
    inbox_.emplace_back(std::move(held));
  }

  template <std::size_t I, class Batch>
  void run_batch(Batch& records, std::size_t from) {
    const std::size_t n = records.size();
    counters().batches_in.add();
    if constexpr (requires { op_.process_batch(records, context_); }) {
      counters().records_in.add(n);
      op_.process_batch(records, context_);
    } else {
      for (std::size_t i = from; i < n; ++i) {
        if constexpr (has_ready) {
          if (MILLRACE_UNLIKELY(!op_.ready())) {
            counters().records_in.add(i - from);
            hold_rest<I>(records, i);
            return block();
          }
        }
        context_.set_current(records.time(i), records.slot(i));
        call<I>(records.value(i));
      }
      counters().records_in.add(n - from);
    }
  }

  template <std::size_t I, class Batch>
  void hold_rest(Batch& records, std::size_t from) {
    held_batch<I> held{batch<in_type<I>>(records.capacity()), 0};
    for (std::size_t i = from; i < records.size(); ++i) {
      if constexpr (std::is_const_v<Batch>) {
        held.records.push(records.value(i), records.time(i), records.slot(i));
      } else {
        held.records.push(std::move(records.value(i)), records.time(i), records.slot(i));
      }
    }
    inbox_.emplace_front(std::move(held));
  }

  template <std::size_t I, class V>
  MILLRACE_ALWAYS_INLINE void call(V& value) {
    if constexpr (sizeof...(Ins) == 1) {
      if constexpr (keeps_records) {
        op_.process(std::move(value), context_);
      } else {
        op_.process(value, context_);
      }
    } else if constexpr (I == 0) {
      if constexpr (keeps_records) {
        op_.process_left(std::move(value), context_);
      } else {
        op_.process_left(value, context_);
      }
    } else {
      if constexpr (keeps_records) {
        op_.process_right(std::move(value), context_);
      } else {
        op_.process_right(value, context_);
      }
    }
  }

  template <std::size_t I>
  void replay(held_batch<I>& held) {
    if constexpr (keeps_records) {
      run_batch<I>(held.records, held.next);
    } else {
      run_batch<I>(std::as_const(held.records), held.next);
    }
  }
  void replay(const held_control& held) { apply_control(held.input, held.element); }

  void on_control(std::size_t input, const control& element) {
    if (must_hold(input)) {
      inbox_.emplace_back(held_control{input, element});
      return;
    }
    guarded([&] {
      apply_control(input, element);
      flush();
    });
  }

  void apply_control(std::size_t input, const control& element) {
    if (element.kind == control_kind::barrier) return send(element);
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
    block();
    return false;
  }

  template <class F>
  static bool call_hook(F&& hook) {
    if constexpr (!std::is_void_v<decltype(hook())>) return hook() == progress::done;
    hook();
    return true;
  }

  template <class F>
  void guarded(F&& work) {
    try {
      work();
    } catch (...) {
      rethrow_named();
    }
  }

  void flush() {
    out_.flush();
    flush_sides();
  }
  void send(const control& element) {
    out_.send(element);
    send_to_sides(element);
  }

  Op op_;
  output<out_type> out_;
  context_type context_;
  watermark_merger merger_;
  typename helpers::ports ports_;
  std::tuple<batch<Ins>...> copies_{batch<Ins>(keeps_records ? default_batch_capacity : 0)...};
  std::deque<typename helpers::held> inbox_;
  std::optional<watermark_change> pending_;
};

}  // namespace millrace
