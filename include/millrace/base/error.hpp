// SPDX-License-Identifier: Apache-2.0
/// \file
/// The library's errors: `errc` for the outside world, exceptions for wrong topologies and for
/// what fails while a pipeline runs. Values are immutable and may be used from any thread.
#pragma once

#include <millrace/base/config.hpp>

#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>

namespace millrace {

/// What can go wrong outside the process or inside a record.
enum class errc {
  timeout = 1,         ///< an operation did not finish in its time
  aborted,             ///< given up because the pipeline stops
  abandoned,           ///< a completion handle was dropped without an answer
  overloaded,          ///< a bound was reached and the policy is to refuse
  circuit_open,        ///< refused without a try: the peer has failed too often lately
  malformed,           ///< bytes that do not follow their format
  missing_field,       ///< a required member is absent
  wrong_type,          ///< a member has another type than its description says
  out_of_range,        ///< a value that its type cannot hold
  too_large,           ///< above a configured limit
  protocol_error,      ///< the peer broke its protocol
  connection_closed,   ///< the peer closed the connection
  connection_refused,  ///< the peer said no: authentication, authorization, unknown resource
  session_taken_over,  ///< another client connected with the same client id
  rejected,            ///< the peer answered and will not accept this item, ever
  unavailable,         ///< the peer answered that it cannot serve now; try again later
  incompatible,        ///< data written by another type or version
  corrupt,             ///< checksum or structure of stored data is wrong
  not_serializable,    ///< a type that has no description and no serializer
  not_supported,       ///< asked for something that this peer or part cannot do
};

/// The category of `errc`; messages are plain English. Thread safe.
MILLRACE_DECL const std::error_category& millrace_category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), millrace_category()};
}

/// An error code with the words that make it useful: where, what was expected, what was found.
struct error {
  std::error_code code;
  std::string message;  ///< without the code's own message; may be empty

  /// "message: code's message", as it belongs in a log line or dead letter.
  std::string to_string() const {
    if (message.empty()) return code.message();
    return message + ": " + code.message();
  }
};

/// What an exception says; empty for none.
inline std::string in_words(const std::exception_ptr& failure) {
  if (!failure) return {};
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "unknown exception";
  }
}

/// A pipeline, or an option of one of its parts, that cannot work. Thrown before any record flows;
/// `what()` names the part and the fix.
class topology_error : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// A running pipeline has failed. `operator_name()` says where; the cause, when it was an
/// exception, is nested (`std::rethrow_if_nested`).
class pipeline_error : public std::runtime_error {
 public:
  pipeline_error(std::string operator_name, const std::string& what)
      : std::runtime_error(operator_name + ": " + what), operator_name_(std::move(operator_name)) {}
  const std::string& operator_name() const noexcept { return operator_name_; }

 private:
  std::string operator_name_;
};

}  // namespace millrace

template <>
struct std::is_error_code_enum<millrace::errc> : std::true_type {};

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/base/impl/error.ipp>
#endif
