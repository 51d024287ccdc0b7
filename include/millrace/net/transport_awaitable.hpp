// SPDX-License-Identifier: Apache-2.0
/// \file
/// `transport` for Asio's completion tokens: `co_await async_read_some(stream, buffer,
/// use_awaitable)`. Includes Asio: for `.ipp` files. Thread safety as in net/transport.hpp.
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/net/transport.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>

#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace millrace::net {

namespace detail {

/// A `callback` that completes `handler` on its own executor.
template <class Outcome, class Handler>
callback<void(Outcome)> complete_with(environment& env, Handler handler) {
  return [&env, handler = std::move(handler)](Outcome outcome) mutable {
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) slot.clear();
    auto where = boost::asio::get_associated_executor(handler, env.executor().handle);
    boost::asio::dispatch(where,
                          [handler = std::move(handler), outcome = std::move(outcome)]() mutable {
                            std::move(handler)(std::move(outcome));
                          });
  };
}

/// Cancelling an operation closes the whole stream: half a TLS record or frame cannot be put back.
template <class Handler>
void close_on_cancellation(const Handler& handler, transport& stream) {
  auto slot = boost::asio::get_associated_cancellation_slot(handler);
  if (!slot.is_connected()) return;
  slot.assign([&stream](boost::asio::cancellation_type) { stream.close(); });
}

}  // namespace detail

/// `open_transport`; completion signature `void(result<std::unique_ptr<transport>>)`. Supports
/// cancellation.
template <class CompletionToken>
auto async_open_transport(environment& env, url where, transport_options options,
                          CompletionToken&& token) {
  using outcome = result<std::unique_ptr<transport>>;
  return boost::asio::async_initiate<CompletionToken, void(outcome)>(
      [&env, where = std::move(where), options = std::move(options)](auto handler) {
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        const auto opening = open_transport(
            env, where, options, detail::complete_with<outcome>(env, std::move(handler)));
        if (slot.is_connected()) {
          slot.assign([opening](boost::asio::cancellation_type) { opening->cancel(); });
        }
      },
      token);
}

/// `transport::read_some`; completion signature `void(result<std::size_t>)`. Cancelling it closes
/// the stream, which must outlive the operation.
template <class CompletionToken>
auto async_read_some(environment& env, transport& stream, std::span<char> into,
                     CompletionToken&& token) {
  return boost::asio::async_initiate<CompletionToken, void(result<std::size_t>)>(
      [&env, &stream, into](auto handler) {
        detail::close_on_cancellation(handler, stream);
        stream.read_some(into, detail::complete_with<result<std::size_t>>(env, std::move(handler)));
      },
      token);
}

/// `transport::write`; completion signature `void(result<std::size_t>)`. The list of buffers must
/// live until the operation starts, their bytes until it completes. Cancelling it closes the
/// stream.
template <class CompletionToken>
auto async_write(environment& env, transport& stream, std::span<const std::string_view> buffers,
                 CompletionToken&& token) {
  return boost::asio::async_initiate<CompletionToken, void(result<std::size_t>)>(
      [&env, &stream, buffers](auto handler) {
        detail::close_on_cancellation(handler, stream);
        stream.write(buffers, detail::complete_with<result<std::size_t>>(env, std::move(handler)));
      },
      token);
}

/// `transport::shutdown`; completion signature `void(result<void>)`.
template <class CompletionToken>
auto async_shutdown(environment& env, transport& stream, CompletionToken&& token) {
  return boost::asio::async_initiate<CompletionToken, void(result<void>)>(
      [&env, &stream](auto handler) {
        stream.shutdown(detail::complete_with<result<void>>(env, std::move(handler)));
      },
      token);
}

}  // namespace millrace::net
