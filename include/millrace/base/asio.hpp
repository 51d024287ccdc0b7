// SPDX-License-Identifier: Apache-2.0
/// \file
/// Makes `io_executor` complete, and adapts the environment's timers to Asio coroutines. Includes
/// Boost.Asio (about 2 s of compile time): for `.ipp` files and connectors' users, never for core.
#pragma once

#include <millrace/base/environment.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <memory>
#include <utility>

namespace millrace {

struct io_executor {
  boost::asio::any_io_executor handle;
};

/// Waits for `delay` on the environment's clock: real time in production, virtual time in tests.
/// Completion signature `void(boost::system::error_code)`; supports cancellation
/// (`operation_aborted`). Call and complete on the worker's thread.
template <class CompletionToken>
auto async_sleep(environment& env, std::chrono::nanoseconds delay, CompletionToken&& token) {
  return boost::asio::async_initiate<CompletionToken, void(boost::system::error_code)>(
      [&env, delay](auto handler) {
        using handler_type = decltype(handler);
        struct state {
          handler_type handler;
          timer_id id = 0;
        };
        auto shared = std::make_shared<state>(state{std::move(handler)});
        auto slot = boost::asio::get_associated_cancellation_slot(shared->handler);
        const auto finish = [&env](const std::shared_ptr<state>& s,
                                   const boost::system::error_code& result) {
          s->id = 0;
          auto where = boost::asio::get_associated_executor(s->handler, env.executor().handle);
          boost::asio::post(where, [s, result] { std::move(s->handler)(result); });
        };
        shared->id = env.call_after(delay, [shared, slot, finish]() mutable {
          if (slot.is_connected()) slot.clear();
          finish(shared, {});
        });
        if (slot.is_connected()) {
          slot.assign([shared, finish, &env](boost::asio::cancellation_type) {
            if (shared->id == 0) return;
            env.cancel_timer(shared->id);
            finish(shared, boost::asio::error::operation_aborted);
          });
        }
      },
      token);
}

}  // namespace millrace
