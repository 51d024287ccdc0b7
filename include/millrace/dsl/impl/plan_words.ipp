// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/dsl/plan_words.hpp>

namespace millrace {

MILLRACE_DECL std::string plan_text(duration time) {
  struct unit {
    std::int64_t length;
    const char* name;
  };
  constexpr unit units[] = {
      {3'600'000'000, "h"}, {60'000'000, "min"}, {1'000'000, "s"}, {1'000, "ms"}, {1, "us"}};
  const std::int64_t n = time.count();
  if (n == 0) return "0s";
  for (const auto& [length, name] : units) {
    if (n % length == 0) return std::to_string(n / length) + name;
  }
  return {};
}

MILLRACE_DECL std::string plan_text(const sliding& windows) {
  std::string text = plan_text(windows.size);
  if (windows.slide != windows.size) text += " by " + plan_text(windows.slide);
  if (windows.offset != duration::zero()) text += ", offset " + plan_text(windows.offset);
  if (windows.clock == time_domain::processing_time) text += ", in processing time";
  return text;
}

MILLRACE_DECL std::string plan_text(const session& windows) {
  std::string text = "session, gap " + plan_text(windows.gap);
  if (windows.clock == time_domain::processing_time) text += ", in processing time";
  return text;
}

MILLRACE_DECL std::string plan_text(const count_window& windows) {
  std::string text = std::to_string(windows.size) + " records";
  if (windows.step() != windows.size) text += " by " + std::to_string(windows.step());
  return text;
}

MILLRACE_DECL std::string plan_text(const global&) { return "global"; }

MILLRACE_DECL plan_properties plan_properties_of(const async_options& options, bool lanes) {
  plan_properties all;
  all.emplace_back("in flight", std::to_string(options.in_flight) + (lanes ? " per lane" : ""));
  const char* order = options.order == async_order::ordered     ? "ordered"
                      : options.order == async_order::unordered ? "unordered"
                                                                : "as completed";
  all.emplace_back(order, "");
  all.emplace_back("timeout", plan_text(std::chrono::duration_cast<duration>(options.timeout)));
  if (options.retry.attempts > 1) {
    all.emplace_back("attempts", std::to_string(options.retry.attempts));
  }
  return all;
}

}  // namespace millrace
