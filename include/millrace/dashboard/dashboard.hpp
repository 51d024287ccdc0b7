// SPDX-License-Identifier: Apache-2.0
/// \file
/// A page about a running pipeline, served by the library: the live graph, the bottleneck in one
/// sentence, history, metrics for Prometheus, health for a supervisor. Thread safe.
///
///     millrace::dashboard board(p, {.port = 8080});   // http://127.0.0.1:8080/
///     p.run();
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>
#include <millrace/dashboard/diagnosis.hpp>
#include <millrace/dashboard/history.hpp>
#include <millrace/net/http_server.hpp>
#include <millrace/runtime/plan.hpp>
#include <millrace/runtime/stalls.hpp>
#include <millrace/runtime/status.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

class pipeline;

struct dashboard_options {
  std::uint16_t port = 8080;          ///< 0: a free one
  std::string address = "127.0.0.1";  ///< whoever reaches it can read names, counts, dead letters
  /// Whoever shows it ("Authorization: Bearer TOKEN") may stop the pipeline; at least 16
  /// characters. Empty: nobody may change anything.
  std::string token = {};
  /// Where savepoints go, each into a directory of its own; they are never removed. Empty: "POST
  /// /savepoint" begins a checkpoint like any other.
  std::string savepoints = {};
  /// Host names under which the page is asked for, beside "localhost" and IP addresses. Requests
  /// for others are refused, so that no web site can read it through a visitor's browser.
  std::vector<std::string> hosts = {};
  std::chrono::milliseconds sample_every{1'000};
  history_options history = {};
  diagnosis_options diagnosis = {};
  net::http_server_limits limits = {};
};

/// What a dashboard asks. All functions are called on the server's thread.
struct observed_pipeline {
  std::function<pipeline_status()> status;
  std::function<pipeline_plan()> plan;  ///< asked when the dashboard is made, and once more later
  std::function<void()> stop = {};
  /// Says where the savepoint will be, or what has been begun; or why nothing.
  std::function<result<std::string>()> savepoint = {};
  std::function<std::vector<stall>(std::chrono::nanoseconds at_least)> stalls = {};
};

/// - `GET /`: the page. `/metrics`: Prometheus. `/status.json`, `/history.json?operator=NAME`.
/// - `GET /plan`: as text, or with `?format=mermaid`, `dot`, `json`.
/// - `GET /live`: 200 unless the pipeline has failed. `/ready`: 200 while it runs; else 503.
/// - `POST /stop`, `/savepoint`: with the token.
class dashboard {
 public:
  /// Serves at once on a thread of its own, workers notice nothing of it. To be made when the
  /// pipeline has been assembled, before or after its start; it must be destroyed before it.
  /// \throws topology_error for a short token, std::system_error when the port cannot be had
  MILLRACE_DECL explicit dashboard(pipeline& p, dashboard_options options = {});

  /// The same about anything that can be asked.
  MILLRACE_DECL explicit dashboard(observed_pipeline what, dashboard_options options = {});

  /// The same on the application's executor (see base/asio.hpp).
  MILLRACE_DECL dashboard(pipeline& p, io_executor& executor, dashboard_options options = {});

  MILLRACE_DECL ~dashboard();
  dashboard(const dashboard&) = delete;
  dashboard& operator=(const dashboard&) = delete;

  MILLRACE_DECL std::uint16_t port() const noexcept;

  /// "http://127.0.0.1:8080" followed by `path`.
  MILLRACE_DECL std::string url(std::string_view path = "/") const;

  MILLRACE_DECL net::http_server_statistics statistics() const;

 private:
  class site;
  std::unique_ptr<site> site_;
  std::unique_ptr<net::http_server> server_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/dashboard/impl/dashboard.ipp>
#include <millrace/dashboard/impl/page.ipp>
#include <millrace/dashboard/impl/site.ipp>
#endif
