// SPDX-License-Identifier: Apache-2.0
/// \file
/// TCP connections to named hosts: resolution, then all addresses in turn. Includes Asio: for
/// `.ipp` files. To be called on the thread of the environment, and completes there.
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>
#include <millrace/net/callback.hpp>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace millrace::net {

/// Bounds of `dial`. At most 16 addresses of a host are tried.
struct dial_options {
  std::chrono::nanoseconds resolve_timeout = std::chrono::seconds{10};
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds{10};      ///< over all addresses
  std::chrono::nanoseconds attempt_delay = std::chrono::milliseconds{250};  ///< RFC 8305, 8
};

/// A connection attempt; goes on when this is destroyed.
class dialing {
 public:
  dialing() = default;
  dialing(const dialing&) = delete;
  dialing& operator=(const dialing&) = delete;
  virtual ~dialing() = default;

  /// Gives up; the callback gets `errc::aborted`. Without effect when it has been called.
  virtual void cancel() noexcept = 0;
};

using dial_callback = callback<void(result<boost::asio::ip::tcp::socket>)>;

/// Connects to a host name or address (IPv6 without brackets, "%zone" allowed). Addresses are tried
/// in the order of RFC 8305, 4 (families in turn); the next one starts when one fails or after
/// `attempt_delay`, and the first that answers wins. The socket has TCP_NODELAY and the executor of
/// `env`. Errors name step and addresses. The callback runs exactly once, never from within `dial`.
MILLRACE_DECL std::shared_ptr<dialing> dial(environment& env, const std::string& host,
                                            std::uint16_t port, const dial_options& options,
                                            dial_callback done);

/// "192.0.2.1:80" or "[::1]:80".
MILLRACE_DECL std::string to_string(const boost::asio::ip::tcp::endpoint& endpoint);

/// `dial` for Asio's completion tokens, e.g. `co_await async_dial(env, host, port, {},
/// use_awaitable)`. Completion signature `void(result<tcp::socket>)`; supports cancellation.
template <class CompletionToken>
auto async_dial(environment& env, std::string host, std::uint16_t port, dial_options options,
                CompletionToken&& token) {
  using socket_result = result<boost::asio::ip::tcp::socket>;
  return boost::asio::async_initiate<CompletionToken, void(socket_result)>(
      [&env, host = std::move(host), port, options](auto handler) {
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        const auto started = dial(
            env, host, port, options,
            [&env, handler = std::move(handler)](socket_result outcome) mutable {
              auto ended = boost::asio::get_associated_cancellation_slot(handler);
              if (ended.is_connected()) ended.clear();
              auto where = boost::asio::get_associated_executor(handler, env.executor().handle);
              boost::asio::dispatch(
                  where, [handler = std::move(handler), outcome = std::move(outcome)]() mutable {
                    std::move(handler)(std::move(outcome));
                  });
            });
        if (slot.is_connected()) {
          slot.assign([started](boost::asio::cancellation_type) { started->cancel(); });
        }
      },
      token);
}

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/dial.ipp>
#endif
