// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/error.hpp>

namespace millrace {

namespace detail {

class error_category_impl final : public std::error_category {
 public:
  const char* name() const noexcept override { return "millrace"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::timeout: return "timed out";
      case errc::aborted: return "aborted";
      case errc::abandoned: return "abandoned without an answer";
      case errc::overloaded: return "overloaded";
      case errc::circuit_open: return "circuit breaker is open";
      case errc::malformed: return "malformed";
      case errc::missing_field: return "missing field";
      case errc::wrong_type: return "wrong type";
      case errc::out_of_range: return "out of range";
      case errc::too_large: return "too large";
      case errc::protocol_error: return "protocol error";
      case errc::connection_closed: return "connection closed by peer";
      case errc::connection_refused: return "refused by peer";
      case errc::session_taken_over: return "session taken over by another client";
      case errc::rejected: return "rejected by peer";
      case errc::unavailable: return "peer unavailable";
      case errc::incompatible: return "incompatible";
      case errc::corrupt: return "corrupt";
      case errc::not_serializable: return "not serializable";
      case errc::not_supported: return "not supported";
    }
    return "unknown millrace error";
  }
};

}  // namespace detail

MILLRACE_DECL const std::error_category& millrace_category() noexcept {
  static const detail::error_category_impl category;
  return category;
}

}  // namespace millrace
