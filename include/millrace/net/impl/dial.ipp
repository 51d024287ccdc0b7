// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/dial.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace millrace::net {

namespace detail {

using boost::asio::ip::tcp;

inline constexpr std::size_t max_dialed_addresses = 16;

/// IPv6 and IPv4 in turn, beginning with the family that the system prefers (RFC 8305, 4).
inline std::vector<tcp::endpoint> interleave_families(const std::vector<tcp::endpoint>& resolved) {
  std::vector<tcp::endpoint> first;
  std::vector<tcp::endpoint> second;
  for (const auto& endpoint : resolved) {
    const bool same = endpoint.protocol() == resolved.front().protocol();
    (same ? first : second).push_back(endpoint);
  }
  std::vector<tcp::endpoint> ordered;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) ordered.push_back(first[i]);
    if (i < second.size()) ordered.push_back(second[i]);
  }
  if (ordered.size() > max_dialed_addresses) ordered.resize(max_dialed_addresses);
  return ordered;
}

class dialing_impl : public std::enable_shared_from_this<dialing_impl> {
 public:
  dialing_impl(environment& env, std::string host, std::uint16_t port, const dial_options& options,
               dial_callback done)
      : env_(env),
        host_(std::move(host)),
        port_(port),
        options_(options),
        done_(std::move(done)),
        resolver_(env.executor().handle) {}

  void start() {
    boost::system::error_code not_literal;
    const auto address = boost::asio::ip::make_address(host_, not_literal);
    if (!not_literal) {
      endpoints_.emplace_back(address, port_);
      connect();
      return;
    }
    set_deadline(options_.resolve_timeout);
    const auto flags = boost::asio::ip::resolver_base::numeric_service;
    resolver_.async_resolve(
        host_, std::to_string(port_), flags,
        [self = shared_from_this()](const boost::system::error_code& code,
                                    const tcp::resolver::results_type& results) {
          self->on_resolved(code, results);
        });
  }

  void cancel() noexcept {
    if (finished_) return;
    fail({make_error_code(errc::aborted), step()});
  }

 private:
  void on_resolved(const boost::system::error_code& code,
                   const tcp::resolver::results_type& results) {
    if (finished_) return;
    if (code) {
      fail({code, step()});
      return;
    }
    std::vector<tcp::endpoint> resolved;
    for (const auto& entry : results) {
      if (std::find(resolved.begin(), resolved.end(), entry.endpoint()) == resolved.end()) {
        resolved.push_back(entry.endpoint());
      }
    }
    if (resolved.empty()) {
      fail({boost::asio::error::make_error_code(boost::asio::error::host_not_found), step()});
      return;
    }
    endpoints_ = interleave_families(resolved);
    connect();
  }

  void connect() {
    connecting_ = true;
    sockets_.reserve(endpoints_.size());
    set_deadline(options_.connect_timeout);
    next_attempt();
  }

  void next_attempt() {
    env_.cancel_timer(stagger_);
    stagger_ = 0;
    const std::size_t index = sockets_.size();
    auto& socket = sockets_.emplace_back(env_.executor().handle);
    ++pending_;
    socket.async_connect(endpoints_[index],
                         [self = shared_from_this(), index](const boost::system::error_code& code) {
                           self->on_connected(index, code);
                         });
    if (sockets_.size() == endpoints_.size()) return;
    stagger_ = env_.call_after(options_.attempt_delay, [self = shared_from_this()] {
      self->stagger_ = 0;
      if (!self->finished_) self->next_attempt();
    });
  }

  void on_connected(std::size_t index, const boost::system::error_code& code) {
    if (finished_) return;
    --pending_;
    if (!code) {
      boost::system::error_code ignored;
      sockets_[index].set_option(tcp::no_delay(true), ignored);
      finish(std::move(sockets_[index]));
      return;
    }
    if (!failures_.empty()) failures_ += ": " + last_failure_.message() + "; ";
    failures_ += to_string(endpoints_[index]);
    last_failure_ = code;
    if (sockets_.size() < endpoints_.size()) {
      next_attempt();
    } else if (pending_ == 0) {
      fail({last_failure_,
            endpoints_.size() == 1 ? "connect to " + failures_ : step() + ": " + failures_});
    }
  }

  std::string step() const {
    return connecting_ ? "connect to '" + host_ + "' port " + std::to_string(port_)
                       : "resolve '" + host_ + "'";
  }

  void set_deadline(std::chrono::nanoseconds limit) {
    env_.cancel_timer(deadline_);
    deadline_ = env_.call_after(limit, [self = shared_from_this()] {
      self->deadline_ = 0;
      if (!self->finished_) self->fail({make_error_code(errc::timeout), self->timed_out_step()});
    });
  }

  std::string timed_out_step() const {
    std::string words = step();
    if (!connecting_) return words;
    words += " (";
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      if (i != 0) words += ", ";
      words += to_string(endpoints_[i]);
    }
    return words + ")";
  }

  void fail(millrace::error failure) { finish(std::move(failure)); }

  void finish(result<tcp::socket> outcome) {
    finished_ = true;
    env_.cancel_timer(deadline_);
    env_.cancel_timer(stagger_);
    resolver_.cancel();
    for (auto& socket : sockets_) {
      boost::system::error_code ignored;
      if (socket.is_open()) socket.close(ignored);
    }
    // Posted, so that cancel() never calls back into its caller.
    boost::asio::post(env_.executor().handle,
                      [done = std::move(done_), outcome = std::move(outcome)]() mutable {
                        done(std::move(outcome));
                      });
  }

  environment& env_;
  std::string host_;
  std::uint16_t port_;
  dial_options options_;
  dial_callback done_;
  tcp::resolver resolver_;
  std::vector<tcp::endpoint> endpoints_;
  std::vector<tcp::socket> sockets_;
  std::size_t pending_ = 0;
  std::string failures_;
  std::error_code last_failure_;
  timer_id deadline_ = 0;
  timer_id stagger_ = 0;
  bool connecting_ = false;
  bool finished_ = false;
};

/// What the caller holds: it does not own the attempt, whose callback may own the caller.
class dialing_handle final : public dialing {
 public:
  explicit dialing_handle(std::weak_ptr<dialing_impl> attempt) : attempt_(std::move(attempt)) {}
  void cancel() noexcept override {
    if (const auto attempt = attempt_.lock()) attempt->cancel();
  }

 private:
  std::weak_ptr<dialing_impl> attempt_;
};

}  // namespace detail

MILLRACE_DECL std::shared_ptr<dialing> dial(environment& env, const std::string& host,
                                            std::uint16_t port, const dial_options& options,
                                            dial_callback done) {
  auto started = std::make_shared<detail::dialing_impl>(env, host, port, options, std::move(done));
  started->start();
  return std::make_shared<detail::dialing_handle>(started);
}

MILLRACE_DECL std::string to_string(const boost::asio::ip::tcp::endpoint& endpoint) {
  const auto address = endpoint.address().to_string();
  const auto port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
}

}  // namespace millrace::net
