// SPDX-License-Identifier: Apache-2.0
/// \file
/// When to try an HTTP request again: which outcomes deserve it, how long to wait, and what the
/// server's Retry-After says. Pure functions and a small state; not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/result.hpp>
#include <millrace/base/time.hpp>
#include <millrace/net/backoff.hpp>
#include <millrace/net/http_message.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::net {

/// An HTTP-date in any of its three formats (RFC 9110, 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT",
/// "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994". A year of two digits that would be
/// more than 50 years after `now` is one of the past.
MILLRACE_DECL std::optional<timestamp> parse_http_date(std::string_view text, timestamp now);

/// The value of Retry-After (RFC 9110, 10.2.3), seconds or HTTP-date, as time from `now` on; dates
/// in the past are 0. Longer than a day counts as a day.
MILLRACE_DECL std::optional<std::chrono::nanoseconds> parse_retry_after(std::string_view text,
                                                                        timestamp now);

/// 408, 425, 429, 500, 502, 503, 504: the same request may succeed later.
constexpr bool is_retriable_status(unsigned status) noexcept {
  return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
         status == 503 || status == 504;
}

/// Whether another try may help: no connection, connection lost, timeout. Not after a broken
/// protocol, a refused certificate, or a body that is too large.
MILLRACE_DECL bool is_retriable_error(const error& reason) noexcept;

/// The error that a status other than 2xx stands for: `errc::unavailable` where a retry may help,
/// `errc::rejected` otherwise, with the start of the body as message.
MILLRACE_DECL error status_error(const http_response& response);

/// Which methods are tried again when the server may have acted on the first try. A retriable
/// status is an answer that it did not, and counts for all methods.
enum class retry_methods : std::uint8_t { idempotent, all };

struct http_retry_policy {
  std::uint32_t attempts = 1;  ///< in all, the first included; 1: no retry
  backoff_options backoff = {};
  std::chrono::nanoseconds longest_retry_after = std::chrono::minutes{1};  ///< longer: give up
  retry_methods methods = retry_methods::idempotent;
  bool (*retriable_status)(unsigned status) = &is_retriable_status;
};

/// Counts the attempts of one request.
class http_retry {
 public:
  /// \pre `validate(policy.backoff)` holds
  explicit http_retry(const http_retry_policy& policy = {}) noexcept
      : policy_(policy), backoff_(policy.backoff) {}

  /// How long to wait before the next attempt, or nothing when `outcome` is final: good, not
  /// retriable, or the last that is allowed. The server's Retry-After wins over the back-off.
  /// `random_bits` are 64 uniform bits.
  MILLRACE_DECL std::optional<std::chrono::nanoseconds> next(http_method method,
                                                             const result<http_response>& outcome,
                                                             std::uint64_t random_bits);

  /// Whether `next` can ever be anything but nothing.
  bool enabled() const noexcept { return policy_.attempts > 1; }

  /// Attempts made so far, as far as `next` was told.
  std::uint32_t attempts() const noexcept { return attempts_; }

 private:
  http_retry_policy policy_;
  backoff backoff_;
  std::uint32_t attempts_ = 0;
};

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/http_retry.ipp>
#endif
