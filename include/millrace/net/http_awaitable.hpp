// SPDX-License-Identifier: Apache-2.0
/// \file
/// `http_client` for Asio's completion tokens and coroutines. Heavy: includes Asio. On the worker's
/// thread, like the client.
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/net/http_client.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>

#include <utility>

namespace millrace::net {

/// `result<http_response> r = co_await async_send(client, std::move(request), use_awaitable)`; give
/// the request a name, because g++ 12 destroys braces inside a co_await twice. Completion signature
/// `void(result<http_response>)`; errors as those of `http_client`, nothing is thrown.
/// Supports cancellation: the request is given up, and completes with `errc::aborted`. The client
/// must live until then; when it is destroyed, so is the coroutine, without being resumed.
template <class CompletionToken>
auto async_send(http_client& client, http_request request, CompletionToken&& token) {
  return boost::asio::async_initiate<CompletionToken, void(result<http_response>)>(
      [&client](auto handler, http_request to_send) {
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        const auto id =
            client.send(std::move(to_send), [&env = client.env(), handler = std::move(handler)](
                                                result<http_response> outcome) mutable {
              auto ended = boost::asio::get_associated_cancellation_slot(handler);
              if (ended.is_connected()) ended.clear();
              auto where = boost::asio::get_associated_executor(handler, env.executor().handle);
              boost::asio::dispatch(
                  where, [handler = std::move(handler), outcome = std::move(outcome)]() mutable {
                    std::move(handler)(std::move(outcome));
                  });
            });
        if (slot.is_connected()) {
          slot.assign([&client, id](boost::asio::cancellation_type) { client.cancel(id); });
        }
      },
      token, std::move(request));
}

}  // namespace millrace::net
