// SPDX-License-Identifier: Apache-2.0
/// \file
/// Lets asynchronous functions be Asio coroutines: `f(const T&) -> boost::asio::awaitable<R>`. The
/// record is copied for the coroutine, so that it outlives a timeout. Includes Asio.
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/operators/signature.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <exception>
#include <memory>
#include <utility>

namespace millrace {

template <class R, class Executor>
struct async_adapter<boost::asio::awaitable<R, Executor>> {
  static constexpr bool known = true;
  using result_type = R;

  /// A timeout or the end of the pipeline cancels the coroutine (terminal cancellation). An
  /// exception becomes the call's error: the code of a `system_error`, else errc::aborted.
  template <class F, class T>
  static void start(F& f, const T& value, async_reply<R> reply) {
    auto signal = std::make_shared<boost::asio::cancellation_signal>();
    auto& executor = reply.env().executor().handle;
    reply.on_cancel([signal] { signal->emit(boost::asio::cancellation_type::terminal); });
    // The coroutine may outlive the operator: its function and record go along.
    auto call = std::make_shared<call_state<F, T>>(f, value, std::move(reply));
    boost::asio::co_spawn(executor, call->f(std::as_const(call->value)),
                          boost::asio::bind_cancellation_slot(
                              signal->slot(), [call, signal](std::exception_ptr failure, R result) {
                                if (!failure) return call->reply(std::move(result));
                                call->reply.fail(to_error(failure));
                              }));
  }

 private:
  template <class F, class T>
  struct call_state {
    call_state(const F& function, const T& record, async_reply<R> r)
        : f(function), value(record), reply(std::move(r)) {}
    F f;
    T value;
    async_reply<R> reply;
  };

  static error to_error(const std::exception_ptr& failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const boost::system::system_error& e) {
      return {e.code(), e.what()};
    } catch (const std::system_error& e) {
      return {e.code(), e.what()};
    } catch (const std::exception& e) {
      return {make_error_code(errc::aborted), e.what()};
    } catch (...) {
      return {make_error_code(errc::aborted), "unknown exception"};
    }
  }
};

}  // namespace millrace
