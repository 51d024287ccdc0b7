// SPDX-License-Identifier: Apache-2.0
/// \file
/// Stateless steps, fused: a chain of map, filter, flat_map, inspect and decode becomes one inlined
/// loop over a batch. A step is an object with `run(value, position, next)`; it calls `next` for
/// every value it produces. Not thread safe: one copy per worker.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/operators/port.hpp>
#include <millrace/operators/subtask.hpp>

#include <functional>
#include <iterator>
#include <type_traits>
#include <utility>

namespace millrace {

/// Where a record stands, and whom to tell when it goes no further.
struct step_position {
  timestamp time;
  slot_index slot;
  subtask* owner;
  std::uint64_t filtered;
};

template <class F>
struct map_step {
  static constexpr bool one_or_none = true;
  F f;
  template <class In>
  using output_type = std::decay_t<std::invoke_result_t<F&, const In&>>;

  template <class V, class Next>
  MILLRACE_ALWAYS_INLINE void run(V&& value, step_position& at, Next&& next) {
    next(std::invoke(f, std::forward<V>(value)), at);
  }
};

template <class F>
struct filter_step {
  static constexpr bool one_or_none = true;
  F f;
  template <class In>
  using output_type = In;

  template <class V, class Next>
  MILLRACE_ALWAYS_INLINE void run(V&& value, step_position& at, Next&& next) {
    if (std::invoke(f, std::as_const(value))) {
      next(std::forward<V>(value), at);
    } else {
      ++at.filtered;
    }
  }
};

template <class F>
struct inspect_step {
  static constexpr bool one_or_none = true;
  F f;
  template <class In>
  using output_type = In;

  template <class V, class Next>
  MILLRACE_ALWAYS_INLINE void run(V&& value, step_position& at, Next&& next) {
    std::invoke(f, std::as_const(value));
    next(std::forward<V>(value), at);
  }
};

/// `f` returns a range; its elements are emitted.
template <class F>
struct flat_map_step {
  F f;
  template <class In>
  using output_type =
      std::decay_t<decltype(*std::begin(std::declval<std::invoke_result_t<F&, const In&>&>()))>;

  template <class V, class Next>
  MILLRACE_ALWAYS_INLINE void run(V&& value, step_position& at, Next&& next) {
    auto&& produced = std::invoke(f, std::forward<V>(value));
    for (auto&& element : produced) next(std::move(element), at);
  }
};

/// `f(value, emit)` calls `emit(u)` for each `Out` it produces: no container needed.
template <class Out, class F>
struct emit_step {
  F f;
  template <class In>
  using output_type = Out;

  template <class V, class Next>
  MILLRACE_ALWAYS_INLINE void run(V&& value, step_position& at, Next&& next) {
    auto emit = [&](auto&& produced) { next(std::forward<decltype(produced)>(produced), at); };
    f(std::forward<V>(value), emit);
  }
};

/// The empty chain over values of type T.
template <class T>
struct no_steps {
  using input_type = T;
  using output_type = T;
  static constexpr int length = 0;
  static constexpr bool one_or_none = true;

  template <class F>
  static void describe(F&&) {}

  template <class V, class Last>
  MILLRACE_ALWAYS_INLINE void run(V&& value, step_position& at, Last&& last) {
    last(std::forward<V>(value), at);
  }
};

/// A chain and one more step.
template <class Front, class Step>
struct chain {
  using input_type = typename Front::input_type;
  using output_type = typename Step::template output_type<typename Front::output_type>;
  static constexpr int length = Front::length + 1;

  /// Each record gives one or is filtered.
  static constexpr bool one_or_none =
      Front::one_or_none && requires { requires Step::one_or_none; };

  Front front;
  Step step;

  /// Calls `note(name, value)` for what the plan should say of the steps.
  template <class F>
  static void describe(F&& note) {
    Front::describe(note);
    if constexpr (requires { Step::describe(note); }) Step::describe(note);
  }

  template <class V, class Last>
  MILLRACE_ALWAYS_INLINE void run(V&& value, step_position& at, Last&& last) {
    front.run(
        std::forward<V>(value), at,
        [ this, &last ](auto&& v, step_position& p)
            __attribute__((always_inline)) { step.run(std::forward<decltype(v)>(v), p, last); });
  }
};

/// Runs a chain over batches. Cost per record: the chain's own work and one append.
template <class Chain>
class steps_subtask final : public subtask, private receiver<typename Chain::input_type> {
 public:
  using in_type = typename Chain::input_type;
  using out_type = typename Chain::output_type;

  explicit steps_subtask(Chain steps) : steps_(std::move(steps)) {
    out_.count_in(&counters().records_out);
  }

  void* input(std::size_t) override { return static_cast<receiver<in_type>*>(this); }

 private:
  void* main_output() override { return &out_; }

  void read(const batch<in_type>& records) override { run(records); }

  void take(batch<in_type>& records) override {
    if constexpr (std::is_trivially_copyable_v<in_type>) {
      run(std::as_const(records));
    } else {
      run(records);
    }
  }

  void receive(const control& element) override {
    if (element.kind == control_kind::barrier) acknowledge_barrier(element.id);
    out_.send(element);
    if (element.kind == control_kind::watermark) {
      counters().watermark.set(element.time.time_since_epoch().count());
    }
    if (element.kind == control_kind::end) mark_finished();
  }

  template <class Batch>
  void run(Batch& records) {
    try {
      const std::size_t n = records.size();
      counters().batches_in.add();
      counters().records_in.add(n);
      const std::uint64_t before = counters().records_out.value();
      step_position at{{}, no_slot, this, 0};
      typename output<out_type>::burst burst(out_);
      auto* const values = records.values();
      const timestamp* const times = records.times();
      const slot_index* const slots = records.slots();
      for (std::size_t i = 0; i < n; ++i) {
        at.time = times[i];
        at.slot = slots[i];
        if constexpr (std::is_const_v<Batch>) {
          steps_.run(values[i], at, emitter{burst});
        } else {
          steps_.run(std::move(values[i]), at, emitter{burst});
        }
      }
      burst.close();
      out_.flush();
      // Where the difference tells, the count in the loop is not needed, and not compiled.
      if constexpr (Chain::one_or_none) at.filtered = n - (counters().records_out.value() - before);
      if (at.filtered != 0) counters().filtered.add(at.filtered);
    } catch (...) {
      rethrow_named();
    }
  }

  struct emitter {
    typename output<out_type>::burst& out;
    template <class V>
    MILLRACE_ALWAYS_INLINE void operator()(V&& value, step_position& at) const {
      out.emit(std::forward<V>(value), at.time, at.slot);
    }

    // For a last step that fills a recycled value in the batch itself.
    MILLRACE_ALWAYS_INLINE out_type& place(const step_position& at) const
      requires recycle_values<out_type>
    {
      return out.place(at.time, at.slot);
    }
    MILLRACE_ALWAYS_INLINE void filled() const { out.filled(); }
    void drop() const noexcept { out.drop(); }
  };

  Chain steps_;
  output<out_type> out_;
};

}  // namespace millrace
