// SPDX-License-Identifier: Apache-2.0
/// \file
/// Trace context as it travels between programs: traceparent and tracestate of W3C Trace Context
/// level 1 (Recommendation of 6 February 2020). Pure functions and plain values.
#pragma once

#include <millrace/base/config.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

/// Names of the HTTP headers and of the MQTT 5 user properties.
inline constexpr std::string_view traceparent_name = "traceparent";
inline constexpr std::string_view tracestate_name = "tracestate";

/// What one step of a trace tells the next.
struct trace_context {
  std::uint64_t trace_high = 0;  ///< first half of the trace id
  std::uint64_t trace_low = 0;   ///< second half; an id is never all zeros
  std::uint64_t span = 0;        ///< parent-id: the step that calls; never zero
  bool sampled = false;          ///< the caller may have recorded the trace
  std::string state{};           ///< tracestate as it came; handed on unchanged

  friend bool operator==(const trace_context&, const trace_context&) = default;
};

/// Reads a traceparent (section 3.2). Nothing when it is not valid: wrong length, upper case, an id
/// of zeros, version ff. A version above 00 may be longer; of it the parts known today are read.
MILLRACE_DECL std::optional<trace_context> parse_traceparent(std::string_view text) noexcept;

/// "00-<trace id>-<span id>-<flags>", 55 characters.
MILLRACE_DECL std::string to_traceparent(const trace_context& context);

/// A tracestate as it may be handed on (section 3.3), of all fields of that name joined by commas:
/// empty members are left out, and above 512 characters whole members are dropped, first those
/// above 128 characters, then from the end. Nothing when a member breaks the grammar, or when there
/// are more than 32: then all of it is to be dropped. O(n).
MILLRACE_DECL std::optional<std::string> checked_tracestate(std::string_view text);

/// 32 lower-case hexadecimal digits, and 16.
MILLRACE_DECL std::string trace_id_text(const trace_context& context);
MILLRACE_DECL std::string span_id_text(std::uint64_t span);

/// What came with a record. Empty `parent`: it has none.
struct incoming_trace {
  std::string_view parent{};
  std::string state{};      ///< all tracestate fields, joined by commas
  std::size_t parents = 0;  ///< more than one traceparent makes all of them invalid
};

/// The context of a record that has brought one. The state is dropped when it is not valid.
MILLRACE_DECL std::optional<trace_context> to_context(const incoming_trace& from);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/base/impl/trace_context.ipp>
#endif
