// SPDX-License-Identifier: Apache-2.0
/// \file
/// URLs of servers (RFC 3986) for the schemes that the library speaks: http, https, mqtt, mqtts, ws
/// and wss. Values may be used from several threads as long as none writes.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::net {

/// The longest text that `parse_url` accepts, in bytes.
inline constexpr std::size_t max_url_length = 8192;

/// The parts of a server's URL. User, password and host are percent-decoded; path, query and
/// fragment stay as they were written, because their delimiters could not be told from data.
struct url {
  std::string scheme;                   ///< lower case, one of the six
  std::optional<std::string> user;      ///< decoded
  std::optional<std::string> password;  ///< decoded; never part of `to_string()`
  std::string host;                     ///< lower case; IPv6 without brackets, zone after '%'
  std::uint16_t port = 0;               ///< as given, or the scheme's default
  std::string path;                     ///< encoded; empty, or begins with '/'
  std::string query;                    ///< encoded, without '?'
  std::string fragment;                 ///< encoded, without '#'; not sent to servers

  /// Whether the connection is to be encrypted: https, mqtts, wss.
  bool uses_tls() const noexcept {
    return scheme == "https" || scheme == "mqtts" || scheme == "wss";
  }

  /// Whether the connection is a WebSocket: ws, wss.
  bool uses_websocket() const noexcept { return scheme == "ws" || scheme == "wss"; }

  /// Path and query as in an HTTP request line; "/" at least.
  MILLRACE_DECL std::string target() const;

  /// "host" or "host:port" as in an HTTP Host header: IPv6 in brackets and without its zone, the
  /// port only where it is not the scheme's default.
  MILLRACE_DECL std::string authority() const;

  /// The URL without its password and fragment, fit for logs.
  MILLRACE_DECL std::string to_string() const;

  bool operator==(const url&) const = default;
};

/// The port of a scheme (http 80, https 443, mqtt 1883, mqtts 8883, ws 80, wss 443); 0 if unknown.
MILLRACE_DECL std::uint16_t default_port(std::string_view scheme) noexcept;

/// Parses `text`. The error is `errc::malformed` (`not_supported` for a foreign scheme, `too_large`
/// above `max_url_length`) and says which part is wrong and how to write it; it never repeats a
/// password. O(length).
MILLRACE_DECL result<url> parse_url(std::string_view text);

/// Replaces every "%hh" by its byte (RFC 3986, 2.1). A '%' without two hexadecimal digits is an
/// error that names its offset. O(length).
MILLRACE_DECL result<std::string> percent_decode(std::string_view text);

/// Writes every byte but letters, digits and "-._~" as "%HH": safe as a path segment, as a name or
/// value in a query, and as user info. O(length).
MILLRACE_DECL std::string percent_encode(std::string_view text);

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/url.ipp>
#endif
