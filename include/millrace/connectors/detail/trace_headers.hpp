// SPDX-License-Identifier: Apache-2.0
/// \file
/// Trace context in the headers of a request. Pure.
#pragma once

#include <millrace/base/trace_context.hpp>
#include <millrace/net/http_message.hpp>

namespace millrace::http::detail {

/// A request that has a traceparent already keeps its own.
inline void add_trace_headers(const trace_context& context, net::http_headers& to) {
  if (to.contains(traceparent_name)) return;
  to.add(traceparent_name, to_traceparent(context));
  if (!context.state.empty()) to.set(tracestate_name, context.state);
}

}  // namespace millrace::http::detail
