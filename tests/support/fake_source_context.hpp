// SPDX-License-Identifier: Apache-2.0
/// \file
/// A `source_context` that records what a reader asks for. Not thread safe, except `wake`.
#pragma once

#include <millrace/operators/source.hpp>

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::testing {

struct fake_source_context : source_context {
  struct letter {
    std::string reason;
    std::string topic;
    std::string payload;
  };

  explicit fake_source_context(environment& e, std::string name = "source")
      : environment_(e), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  const std::string& pipeline_name() const override { return pipeline_name_; }
  environment& env() override { return environment_; }
  metric_group& metrics() override { return metrics_; }
  void wake() override { wakes.fetch_add(1); }
  void fail(error reason) override {
    if (!failure) failure = std::move(reason);
  }
  void dead_letter(std::string_view reason, std::string_view topic,
                   std::string_view payload) override {
    letters.push_back({std::string(reason), std::string(topic), std::string(payload)});
  }

  /// A metric's value; 0 when it does not exist.
  std::int64_t metric(std::string_view wanted) const {
    for (const auto& m : metrics_.read()) {
      if (m.name == wanted) return m.value;
    }
    return 0;
  }

  std::atomic<int> wakes{0};
  std::optional<error> failure;
  std::vector<letter> letters;

 private:
  environment& environment_;
  std::string name_;
  std::string pipeline_name_ = "test";
  metric_group metrics_;
};

}  // namespace millrace::testing
