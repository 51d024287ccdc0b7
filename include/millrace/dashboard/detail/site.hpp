// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the dashboard answers, without the server. Only the server's thread uses it.
#pragma once

#include <millrace/dashboard/dashboard.hpp>
#include <millrace/dashboard/history.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

class dashboard::site {
 public:
  site(observed_pipeline what, dashboard_options options);

  /// Takes a sample: what the page and the diagnosis are made of.
  void sample();

  net::http_served_response answer(const net::http_served_request& request);

 private:
  using response = net::http_served_response;
  using request = net::http_served_request;

  void explain_stalls();
  bool host_allowed(std::string_view host) const;
  response get(const request& r);
  response post(const request& r);
  response change(const request& r);
  response metrics();
  response status();
  response show_plan(std::string_view query) const;
  response health(bool good, const std::string& words) const;

  observed_pipeline what_;
  dashboard_options options_;
  pipeline_plan plan_;
  bool plan_is_final_ = false;
  pipeline_status before_;
  pipeline_status now_;
  diagnostician diagnostician_;
  millrace::diagnosis found_;
  std::vector<stall> stalls_;
  pipeline_history history_;
  std::string status_json_;  ///< of the last sample, made when somebody asks
  std::string metrics_;
  std::optional<std::chrono::steady_clock::time_point> metrics_at_;
};

}  // namespace millrace
