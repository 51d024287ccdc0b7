// SPDX-License-Identifier: Apache-2.0
/// \file
/// The inside of `http_client`: exchanges in a slab, hosts with their connections and waiting
/// lines, one timer for all deadlines. Heavy. Everything is on the worker's thread.
#pragma once

#include <millrace/net/detail/http_connection.hpp>
#include <millrace/net/http_client.hpp>

#include <boost/intrusive/list.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace::net {

namespace detail {

enum class http_stage : std::uint8_t {
  unused,   ///< in the free list
  waiting,  ///< in its host's line
  opening,  ///< its connection is being made
  running,  ///< the request is out
  delayed,  ///< between two attempts
};

struct http_exchange : boost::intrusive::list_base_hook<> {
  std::uint32_t index = 0;
  std::uint32_t generation = 1;
  http_stage stage = http_stage::unused;
  bool resent = false;   ///< once, because a kept connection was closed
  bool foreign = false;  ///< redirected to another origin: no credentials of ours
  std::uint32_t redirects = 0;
  std::uint32_t target = 0;      ///< where path and query begin in the URL
  std::uint32_t target_end = 0;  ///< and end
  http_request request;
  http_client::callback done;
  http_retry retry;
  http_host* host = nullptr;
  boost::intrusive_ptr<http_connection> connection;
  std::chrono::nanoseconds deadline{};
  std::chrono::nanoseconds opening_until{};
  timer_id delay = 0;

  http_request_id id() const noexcept {
    return static_cast<http_request_id>(generation) << 32U | index;
  }
};

struct http_host {
  struct line {
    std::string name;
    std::string text;  ///< with its line end
    bool secret;       ///< not for other origins
  };

  http_origin origin;
  std::string authority;    ///< for the Host field
  std::vector<line> lines;  ///< fields that every request carries
  std::string all_lines;    ///< the same, joined
  std::size_t open = 0;
  std::vector<boost::intrusive_ptr<http_connection>> idle;  ///< the longest idle first
  boost::intrusive::list<http_exchange> waiting;
};

struct http_key_hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>{}(text);
  }
};

/// What a client counts into a metric group.
struct http_client_counters {
  explicit http_client_counters(metric_group& group)
      : connects(group.counter("connects")),
        connection_failures(group.counter("connection_failures")),
        request_retries(group.counter("request_retries")),
        request_bytes(group.counter("request_bytes")),
        response_bytes(group.counter("response_bytes")) {}

  counter& connects;
  counter& connection_failures;
  counter& request_retries;
  counter& request_bytes;
  counter& response_bytes;
};

/// `location` as seen from `base` (RFC 3986, 5.2); empty when it cannot be followed.
MILLRACE_DECL std::string resolve_location(std::string_view base, std::string_view location);

/// "scheme://authority" of an absolute URL; empty if it is none.
MILLRACE_DECL std::string_view origin_of(std::string_view url) noexcept;

/// Whether a field may be sent: no line breaks, no zero bytes, a token as name, none of those that
/// frame the message.
MILLRACE_DECL result<void> check_header(std::string_view name, std::string_view value);

MILLRACE_DECL std::string base64(std::string_view bytes);

}  // namespace detail

class http_client::implementation final : public detail::http_connection_owner,
                                          public std::enable_shared_from_this<implementation> {
 public:
  using exchange = detail::http_exchange;
  using host = detail::http_host;
  using connection = detail::http_connection;

  MILLRACE_DECL implementation(environment& env, http_client_options options);
  ~implementation() = default;

  MILLRACE_DECL http_request_id send(http_request request, callback done);
  MILLRACE_DECL bool cancel(http_request_id id);
  MILLRACE_DECL void cancel_all();
  MILLRACE_DECL void shut_down() noexcept;
  MILLRACE_DECL http_client_statistics statistics() const;

  environment& env_;
  http_client_options options_;

 private:
  MILLRACE_DECL void opened(connection& c, std::optional<error> failure) override;
  MILLRACE_DECL void answered(connection& c) override;
  MILLRACE_DECL void failed(connection& c, detail::http_failure failure) override;

  MILLRACE_DECL exchange& take_slot();
  MILLRACE_DECL callback free_slot(exchange& e);
  MILLRACE_DECL exchange* find(http_request_id id) noexcept;
  MILLRACE_DECL result<void> prepare(exchange& e);
  MILLRACE_DECL result<void> locate(exchange& e);
  MILLRACE_DECL result<host*> make_host(std::string_view key);
  MILLRACE_DECL result<void> add_lines(host& h, const std::string& user,
                                       const std::string& password);
  MILLRACE_DECL void forget_hosts(bool idle_ones);
  MILLRACE_DECL void write_head(exchange& e, std::string& out) const;

  MILLRACE_DECL void start(exchange& e);
  MILLRACE_DECL void open_for(exchange& e);
  MILLRACE_DECL void run_on(exchange& e, boost::intrusive_ptr<connection> c);
  MILLRACE_DECL void give_back(boost::intrusive_ptr<connection> c, bool reusable);
  MILLRACE_DECL void serve_waiting(host& h);
  MILLRACE_DECL void detach(exchange& e);
  MILLRACE_DECL bool redirect(exchange& e, const http_response& response);
  MILLRACE_DECL void settle(exchange& e, result<http_response> outcome);
  MILLRACE_DECL void resume(http_request_id id);
  MILLRACE_DECL void finish(exchange& e, result<http_response> outcome);
  MILLRACE_DECL void finish_later(exchange& e, error reason);
  MILLRACE_DECL void deliver_late();

  MILLRACE_DECL void arm(std::chrono::nanoseconds when);
  MILLRACE_DECL void tick();
  MILLRACE_DECL void rest();
  MILLRACE_DECL void closed_one(host& h);
  MILLRACE_DECL void expire(exchange& e);
  MILLRACE_DECL void count_retry();

  std::deque<exchange> exchanges_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::string, std::unique_ptr<host>, detail::http_key_hash, std::equal_to<>>
      hosts_;
  std::shared_ptr<boost::asio::ssl::context> tls_context_;
  std::vector<std::pair<callback, error>> late_;
  timer_id timer_ = 0;
  std::chrono::nanoseconds timer_at_{};
  http_client_statistics statistics_;
  std::optional<detail::http_client_counters> counters_;
  bool closed_ = false;
};

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/http_pool.ipp>
#endif
