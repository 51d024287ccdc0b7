// SPDX-License-Identifier: Apache-2.0
/// \file
/// Tests operators without a pipeline: an instance with a scripted input, captured output, virtual
/// time, and an output that can be full. `verify` runs one script in every way in which an operator
/// must give the same result (after Hazelcast Jet's TestSupport). Single-threaded.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/operators/operator.hpp>
#include <millrace/runtime/timer_heap.hpp>
#include <millrace/state/key_table.hpp>
#include <millrace/state/snapshot.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::testing {

/// A value that left an operator, with its time.
template <class T>
struct emitted {
  T value;
  timestamp time;
  friend bool operator==(const emitted&, const emitted&) = default;
};

/// Virtual clocks, timers and no I/O, for one operator.
class harness_environment final : public environment {
 public:
  timestamp now() const override { return wall; }
  std::chrono::nanoseconds monotonic() const override { return uptime; }
  timer_id call_after(std::chrono::nanoseconds delay, std::function<void()> callback) override {
    return timers.add(uptime + delay, std::move(callback));
  }
  void cancel_timer(timer_id id) noexcept override { timers.cancel(id); }
  void post(std::function<void()> callback) override { posted.push_back(std::move(callback)); }
  std::uint64_t random() override { return random_(); }
  io_executor& executor() override { throw std::logic_error("no I/O in the operator harness"); }
  const logger& log() const override { return log_; }

  timestamp wall{};
  std::chrono::nanoseconds uptime{};
  timer_heap timers;
  std::vector<std::function<void()>> posted;

 private:
  std::mt19937_64 random_{1};
  logger log_;
};

/// One operator instance. `Ins` are the types of its inputs.
template <class Op, class... Ins>
class operator_harness {
 public:
  using out_type = typename Op::output_type;
  template <std::size_t I>
  using in_type = std::tuple_element_t<I, std::tuple<Ins...>>;

  /// `make()` returns the operator. Not open yet, so that `restore` can come first.
  template <class Make>
  explicit operator_harness(const Make& make)
      : task_(std::make_unique<operator_subtask<Op, Ins...>>(built_by{}, make)),
        sink_(std::make_unique<sink_task>()) {
    task_->attach(host_, "operator", 0);
    sink_->attach(host_, "output", 0);
    sink_->set_ancestors({task_.get()}, {{task_.get()}});
    sink_->on_full = [this] { return always_full_; };
    static_cast<output<out_type>*>(task_->output_port(0))->connect(sink_.get());
    task_->on_dead_letter([this](dead_letter&& d) { dead_letters.push_back(std::move(d)); });
  }

  void open() {
    task_->open();
    settle();
  }

  /// Every batch that leaves blocks the output, until the operator has been seen to wait.
  void output_is_always_full(bool full) noexcept { always_full_ = full; }

  template <std::size_t I = 0>
  void push(std::vector<emitted<in_type<I>>> records, std::vector<slot_index> slots = {}) {
    batch<in_type<I>> b(std::max<std::size_t>(records.size(), 1));
    for (std::size_t i = 0; i < records.size(); ++i) {
      b.push(std::move(records[i].value), records[i].time, slots.empty() ? no_slot : slots[i]);
    }
    static_cast<receiver<in_type<I>>*>(task_->input(I))->take(b);
    settle();
  }

  template <std::size_t I = 0>
  void send(const control& element) {
    static_cast<receiver<in_type<I>>*>(task_->input(I))->receive(element);
    settle();
  }

  /// Lets time pass for processing-time timers.
  void advance(std::chrono::nanoseconds d) {
    env_.uptime += d;
    env_.wall += std::chrono::duration_cast<duration>(d);
    env_.timers.run_due(env_.uptime);
    settle();
  }

  std::string snapshot() const {
    snapshot_writer to;
    task_->save(to);
    return std::string(to.view());
  }
  void restore(const std::string& bytes) {
    snapshot_reader from(bytes);
    task_->restore(from);
    if (from.failed())
      throw std::runtime_error("operator_harness: the snapshot does not read back");
  }

  /// Everything emitted so far, and the watermarks between.
  std::vector<emitted<out_type>>& results() noexcept { return sink_->records; }
  const std::vector<control>& controls() const noexcept { return sink_->controls; }
  subtask& task() noexcept { return *task_; }
  Op& op() noexcept { return static_cast<operator_subtask<Op, Ins...>&>(*task_).op(); }
  harness_environment& env() noexcept { return env_; }

  std::vector<dead_letter> dead_letters;

 private:
  struct sink_task final : subtask, receiver<out_type> {
    void* input(std::size_t) override { return static_cast<receiver<out_type>*>(this); }
    void* main_output() override { return nullptr; }
    void read(const batch<out_type>& b) override {
      for (std::size_t i = 0; i < b.size(); ++i) records.push_back({b.value(i), b.time(i)});
      if (on_full && on_full()) block();
    }
    void take(batch<out_type>& b) override { read(b); }
    void receive(const control& c) override { controls.push_back(c); }
    std::function<bool()> on_full;
    std::vector<emitted<out_type>> records;
    std::vector<control> controls;
  };

  struct host_type final : subtask_host {
    explicit host_type(harness_environment& e) : environment_(e) {}
    environment& env() override { return environment_; }
    const std::string& pipeline_name() const override { return name; }
    void schedule_resume(subtask& who) override { resumes.push_back(&who); }
    void wake() override {}
    void fail(std::exception_ptr reason) override { failure = reason; }
    harness_environment& environment_;
    std::string name = "harness";
    std::vector<subtask*> resumes;
    std::exception_ptr failure;
  };

  void settle() {
    for (int round = 0; round < 1'000'000; ++round) {
      auto posted = std::exchange(env_.posted, {});
      for (auto& callback : posted) callback();
      if (sink_->blocked()) sink_->unblock();
      auto resumes = std::exchange(host_.resumes, {});
      if (resumes.empty() && posted.empty()) break;
      for (subtask* task : resumes) {
        if (!task->downstream_blocked()) task->resume();
      }
    }
    if (host_.failure) std::rethrow_exception(std::exchange(host_.failure, nullptr));
  }

  harness_environment env_;
  host_type host_{env_};
  std::unique_ptr<operator_subtask<Op, Ins...>> task_;
  std::unique_ptr<sink_task> sink_;
  bool always_full_ = false;
};

/// One element of a script: a record for input `I`, or a control element.
template <class... Ins>
struct script_step {
  std::size_t input = 0;
  std::variant<control, emitted<Ins>...> what;
};

/// Runs scripts against an operator in all ways; see `verify`.
template <class Op, class K, class... Ins>
class operator_verifier {
 public:
  using harness = operator_harness<Op, Ins...>;
  using step = script_step<Ins...>;
  using results = std::vector<emitted<typename Op::output_type>>;
  using make_function = std::function<std::unique_ptr<harness>(std::shared_ptr<key_table<K>>)>;
  using key_function = std::function<K(const step&)>;

  operator_verifier(make_function make, key_function key_of)
      : make_(std::move(make)), key_of_(std::move(key_of)) {}

  /// What the script gives in one way of running it.
  results run(const std::vector<step>& script, std::size_t batch_size, bool restore_between,
              bool full) {
    auto keys = std::make_shared<key_table<K>>();
    auto h = make_(keys);
    h->output_is_always_full(full);
    h->open();
    results all;
    for (std::size_t i = 0; i < script.size();) {
      i = feed(*h, *keys, script, i, batch_size);
      if (!restore_between) continue;
      const std::string bytes = h->snapshot();
      append(all, h->results());
      keys = std::make_shared<key_table<K>>();
      h = make_(keys);
      h->output_is_always_full(full);
      h->restore(bytes);
      restore_watermarks(*h, script, i);
      h->open();
    }
    append(all, h->results());
    return all;
  }

 private:
  static void append(results& all, results& more) {
    all.insert(all.end(), more.begin(), more.end());
    more.clear();
  }

  // Watermarks are not part of an operator's state: the sources give them again.
  static void restore_watermarks(harness& h, const std::vector<step>& script, std::size_t end) {
    std::vector<std::optional<timestamp>> last(sizeof...(Ins));
    for (std::size_t i = 0; i < end; ++i) {
      if (const auto* c = std::get_if<control>(&script[i].what)) {
        if (c->kind == control_kind::watermark) last[script[i].input] = c->time;
      }
    }
    for (std::size_t input = 0; input < last.size(); ++input) {
      if (last[input]) send(h, input, control::watermark(*last[input]));
    }
  }

  static void send(harness& h, std::size_t input, const control& c) {
    if (input == 0) {
      h.template send<0>(c);
    } else if constexpr (sizeof...(Ins) > 1) {
      h.template send<1>(c);
    }
  }

  std::size_t feed(harness& h, key_table<K>& keys, const std::vector<step>& script, std::size_t i,
                   std::size_t batch_size) {
    if (const auto* c = std::get_if<control>(&script[i].what)) {
      send(h, script[i].input, *c);
      return i + 1;
    }
    if (script[i].input == 0) return feed_records<0>(h, keys, script, i, batch_size);
    if constexpr (sizeof...(Ins) > 1) return feed_records<1>(h, keys, script, i, batch_size);
    return i + 1;
  }

  template <std::size_t I>
  std::size_t feed_records(harness& h, key_table<K>& keys, const std::vector<step>& script,
                           std::size_t i, std::size_t batch_size) {
    using in = typename harness::template in_type<I>;
    std::vector<emitted<in>> records;
    std::vector<slot_index> slots;
    while (i < script.size() && records.size() < batch_size && script[i].input == I &&
           script[i].what.index() == I + 1) {
      records.push_back(std::get<I + 1>(script[i].what));
      slots.push_back(keys.find_or_insert(key_of_(script[i])));
      ++i;
    }
    h.template push<I>(std::move(records), std::move(slots));
    return i;
  }

  make_function make_;
  key_function key_of_;
};

}  // namespace millrace::testing
