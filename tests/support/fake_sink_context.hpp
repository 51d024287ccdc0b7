// SPDX-License-Identifier: Apache-2.0
/// \file
/// A `sink_context` that records what a writer asks for. Not thread safe: everything happens on the
/// thread that runs the environment.
#pragma once

#include <millrace/operators/sink.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::testing {

struct fake_sink_context : sink_context {
  struct letter {
    std::string reason;
    std::string payload;
    timestamp time;
  };

  explicit fake_sink_context(environment& e, std::string name = "sink")
      : environment_(e), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  const std::string& pipeline_name() const override { return pipeline_name_; }
  environment& env() override { return environment_; }
  metric_group& metrics() override { return metrics_; }
  void block() override {
    if (!blocked) ++times_blocked;
    blocked = true;
  }
  void unblock() override { blocked = false; }
  void done() override { ++times_done; }
  void fail(error reason) override {
    if (!failure) failure = std::move(reason);
  }
  void dead_letter(std::string_view reason, std::string_view payload, timestamp time) override {
    letters.push_back({std::string(reason), std::string(payload), time});
  }

  /// A metric's value; 0 when it does not exist.
  std::int64_t metric(std::string_view wanted) const {
    for (const auto& m : metrics_.read()) {
      if (m.name == wanted) return m.value;
    }
    return 0;
  }

  bool blocked = false;
  int times_blocked = 0;
  int times_done = 0;
  std::optional<error> failure;
  std::vector<letter> letters;

 private:
  environment& environment_;
  std::string name_;
  std::string pipeline_name_ = "test";
  metric_group metrics_;
};

}  // namespace millrace::testing
