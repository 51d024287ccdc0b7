// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/time_format.hpp>
#include <millrace/dashboard/dashboard.hpp>
#include <millrace/dashboard/detail/site.hpp>
#include <millrace/dsl/pipeline.hpp>

#include <chrono>
#include <string>
#include <utility>

namespace millrace {

namespace detail {

/// "DIRECTORY/savepoint-2026-03-01T101500.123456Z"
MILLRACE_DECL std::string savepoint_place(const std::string& directory) {
  auto time = format_time(std::chrono::time_point_cast<duration>(std::chrono::system_clock::now()));
  std::erase(time, ':');
  return directory + "/savepoint-" + time;
}

MILLRACE_DECL observed_pipeline observe(pipeline& p, const std::string& savepoints) {
  const auto savepoint = [&p, savepoints]() -> result<std::string> {
    if (savepoints.empty()) {
      if (p.checkpoint_now()) return std::string("a checkpoint has begun");
    } else if (auto place = savepoint_place(savepoints); p.save_to(place)) {
      return place;
    }
    return {errc::unavailable, "none was begun: one is under way, or the pipeline keeps none"};
  };
  return {[&p] { return p.status(); }, [&p] { return p.plan(); }, [&p] { p.stop(); }, savepoint,
          [&p](std::chrono::nanoseconds at_least) { return p.explain_stall(at_least); }};
}

MILLRACE_DECL net::http_server_options server_options_of(const dashboard_options& options) {
  net::http_server_options out;
  out.address = options.address;
  out.port = options.port;
  out.limits = options.limits;
  out.task_every = options.sample_every;
  return out;
}

}  // namespace detail

MILLRACE_DECL dashboard::dashboard(pipeline& p, dashboard_options options)
    : dashboard(detail::observe(p, options.savepoints), dashboard_options(options)) {}

MILLRACE_DECL dashboard::dashboard(observed_pipeline what, dashboard_options options)
    : site_(std::make_unique<site>(std::move(what), options)) {
  auto server = detail::server_options_of(options);
  server.task = [s = site_.get()] { s->sample(); };
  server_ = std::make_unique<net::http_server>(
      std::move(server), [s = site_.get()](const auto& request) { return s->answer(request); });
}

MILLRACE_DECL dashboard::dashboard(pipeline& p, io_executor& executor, dashboard_options options)
    : site_(std::make_unique<site>(detail::observe(p, options.savepoints), options)) {
  auto server = detail::server_options_of(options);
  server.task = [s = site_.get()] { s->sample(); };
  server_ = std::make_unique<net::http_server>(
      executor, std::move(server),
      [s = site_.get()](const auto& request) { return s->answer(request); });
}

MILLRACE_DECL dashboard::~dashboard() { server_.reset(); }

MILLRACE_DECL std::uint16_t dashboard::port() const noexcept { return server_->port(); }

MILLRACE_DECL std::string dashboard::url(std::string_view path) const { return server_->url(path); }

MILLRACE_DECL net::http_server_statistics dashboard::statistics() const {
  return server_->statistics();
}

}  // namespace millrace
