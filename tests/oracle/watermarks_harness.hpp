// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs an event_time step alone: batches in, a log of everything that comes out, virtual time, an
/// output that can be blocked.
#pragma once

#include <millrace/operators/subtask.hpp>
#include <millrace/testing/operator_harness.hpp>

#include "oracle/random_stream.hpp"

#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace oracle {

/// One thing that came out, in order.
struct seen {
  enum what : char {
    record = 'r',
    watermark = 'w',
    idle = 'i',
    active = 'a',
    end = 'e',
    quarantined = 'q',
  };
  what kind;
  std::int64_t time = 0;  ///< of a record or watermark
  int id = -1;            ///< of a record
  friend bool operator==(const seen&, const seen&) = default;
  friend std::ostream& operator<<(std::ostream& to, const seen& s) {
    to << static_cast<char>(s.kind);
    if (s.kind == record || s.kind == quarantined) to << s.id;
    if (s.kind != idle && s.kind != active && s.kind != end) to << '@' << s.time;
    return to;
  }
};

class time_harness {
 public:
  explicit time_harness(std::unique_ptr<millrace::subtask> task) : task_(std::move(task)) {
    task_->attach(host_, "event_time", 0);
    sink_.attach(host_, "output", 0);
    sink_.set_ancestors({task_.get()}, {{task_.get()}});
    static_cast<millrace::output<event>*>(task_->output_port(0))->connect(&sink_);
    task_->on_dead_letter([this](millrace::dead_letter&& d) {
      sink_.log.push_back({seen::quarantined, d.time.time_since_epoch().count(), -1});
    });
    task_->open();
  }
  ~time_harness() { task_->cancel(); }

  void push(const std::vector<event>& events) {
    millrace::batch<event> b(std::max<std::size_t>(events.size(), 1));
    for (const auto& e : events) b.push(e, millrace::min_timestamp);
    port().take(b);
  }
  void end() {
    port().receive(millrace::control::watermark(millrace::max_timestamp));
    port().receive(millrace::control::end());
  }

  /// Timers fire on the way, each at its time.
  void advance(std::chrono::nanoseconds d) {
    const auto until = env_.uptime + d;
    for (auto due = env_.timers.next_due(); due && *due <= until; due = env_.timers.next_due()) {
      move_to(*due);
      env_.timers.run_due(env_.uptime);
    }
    move_to(until);
  }

  void block(bool blocked) {
    if (blocked) {
      sink_.block();
    } else {
      sink_.unblock();
    }
  }

  const std::vector<seen>& log() const noexcept { return sink_.log; }
  millrace::subtask& task() noexcept { return *task_; }
  millrace::testing::harness_environment& env() noexcept { return env_; }
  std::chrono::nanoseconds now() const noexcept { return env_.uptime; }

 private:
  struct sink_task final : millrace::subtask, millrace::receiver<event> {
    void* input(std::size_t) override { return static_cast<millrace::receiver<event>*>(this); }
    void* main_output() override { return nullptr; }
    void read(const millrace::batch<event>& b) override {
      for (std::size_t i = 0; i < b.size(); ++i) {
        log.push_back({seen::record, b.time(i).time_since_epoch().count(), b.value(i).id});
      }
    }
    void take(millrace::batch<event>& b) override { read(b); }
    void receive(const millrace::control& c) override {
      using kind = millrace::control_kind;
      if (c.kind == kind::watermark) {
        log.push_back({seen::watermark, c.time.time_since_epoch().count(), -1});
      } else if (c.kind == kind::idle || c.kind == kind::active || c.kind == kind::end) {
        log.push_back({c.kind == kind::idle     ? seen::idle
                       : c.kind == kind::active ? seen::active
                                                : seen::end,
                       0, -1});
      }
    }
    std::vector<seen> log;
  };

  struct host_type final : millrace::subtask_host {
    explicit host_type(millrace::testing::harness_environment& e) : environment_(e) {}
    millrace::environment& env() override { return environment_; }
    const std::string& pipeline_name() const override { return name; }
    void schedule_resume(millrace::subtask&) override {}
    void wake() override {}
    void fail(std::exception_ptr) override {}
    millrace::testing::harness_environment& environment_;
    std::string name = "harness";
  };

  void move_to(std::chrono::nanoseconds t) {
    env_.wall = millrace::saturating_add(
        env_.wall, std::chrono::duration_cast<millrace::duration>(t - env_.uptime));
    env_.uptime = t;
  }
  millrace::receiver<event>& port() {
    return *static_cast<millrace::receiver<event>*>(task_->input(0));
  }

  millrace::testing::harness_environment env_;
  host_type host_{env_};
  std::unique_ptr<millrace::subtask> task_;
  sink_task sink_;
};

}  // namespace oracle
