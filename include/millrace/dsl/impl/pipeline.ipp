// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/base/error.hpp>
#include <millrace/dsl/pipeline.hpp>

namespace millrace {

MILLRACE_DECL pipeline::pipeline(std::string name) : name_(std::move(name)) {}

MILLRACE_DECL pipeline::~pipeline() {
  if (running_on_ == nullptr) return;
  execution_->cancel();
  running_on_->join();
}

MILLRACE_DECL stream<dead_letter> pipeline::dead_letters() {
  if (!dead_letter_origin_) {
    dead_letters_ = std::make_shared<dead_letter_queue>();
    dead_letter_origin_ = source("dead_letters", dead_letter_source(dead_letters_)).origin();
    core_.nodes().node(dead_letter_origin_->node).collects_dead_letters = true;
  }
  return stream<dead_letter>(core_, *dead_letter_origin_);
}

MILLRACE_DECL pipeline& pipeline::parallelism(std::size_t workers) {
  if (workers < 1 || workers > default_max_parallelism) {
    throw topology_error("parallelism(" + std::to_string(workers) + "): must be between 1 and " +
                         std::to_string(default_max_parallelism));
  }
  workers_ = workers;
  return *this;
}

MILLRACE_DECL pipeline& pipeline::ring_batches(std::size_t batches) {
  if (batches < 2) throw topology_error("ring_batches(n): at least 2 are needed");
  ring_batches_ = batches;
  return *this;
}

MILLRACE_DECL pipeline& pipeline::log_to(logger::function sink, log_level least) {
  log_ = logger(std::move(sink), least);
  return *this;
}

MILLRACE_DECL void pipeline::run() {
  start();
  wait();
}

MILLRACE_DECL void pipeline::start() {
  refuse_second_start();
  driver_ = make_thread_driver(workers_, log_);
  launch(*driver_);
}

MILLRACE_DECL void pipeline::start(io_executor& executor) {
  refuse_second_start();
  driver_ = make_executor_driver(executor, workers_, log_);
  launch(*driver_);
}

MILLRACE_DECL void pipeline::start(driver& on) {
  refuse_second_start();
  launch(on);
}

MILLRACE_DECL void pipeline::refuse_second_start() const {
  if (execution_) throw topology_error("the pipeline \"" + name_ + "\" has been started before");
}

MILLRACE_DECL void pipeline::launch(driver& on) {
  execution_ =
      std::make_unique<execution>(core_.nodes(), name_, on.seats(), ring_batches_, dead_letters_);
  running_on_ = &on;
  on.start(*execution_, [this] {
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
    ended_.notify_all();
  });
}

MILLRACE_DECL void pipeline::stop() {
  if (execution_) execution_->stop();
}

MILLRACE_DECL void pipeline::cancel() {
  if (execution_) execution_->cancel();
}

MILLRACE_DECL void pipeline::wait() {
  if (!execution_) throw topology_error("the pipeline \"" + name_ + "\" has not been started");
  running_on_->join();
  if (const auto failure = execution_->failure()) std::rethrow_exception(failure);
}

MILLRACE_DECL bool pipeline::ended() const {
  const std::lock_guard lock(mutex_);
  return has_ended_;
}

MILLRACE_DECL std::vector<operator_status> pipeline::status() const {
  std::vector<operator_status> all;
  if (!execution_) return all;
  for (std::size_t w = 0; w < execution_->workers(); ++w) {
    for (const auto& task : execution_->at(w).subtasks()) {
      const auto& c = task->counters();
      all.push_back({task->name(), w, c.records_in.value(), c.records_out.value(),
                     c.filtered.value(), c.late.value(), c.dead_letters.value(),
                     timestamp{duration{c.watermark.value()}}, c.blocked.value() != 0,
                     task->metrics().read()});
    }
  }
  return all;
}

}  // namespace millrace
