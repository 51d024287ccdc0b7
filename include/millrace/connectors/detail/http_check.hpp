// SPDX-License-Identifier: Apache-2.0
/// \file
/// The check of options that the HTTP connectors share. Thread safe.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/net/http_client.hpp>
#include <millrace/net/url.hpp>

#include <string>

namespace millrace::http {

namespace detail {

/// The options that all three parts share. \throws topology_error
inline void check_client(const std::string& part, const std::string& url,
                         const net::http_client_options& options) {
  const auto parsed = net::parse_url(url);
  if (!parsed) throw topology_error(part + ": url: " + parsed.error().to_string());
  if (parsed->scheme != "http" && parsed->scheme != "https") {
    throw topology_error(part + ": url: must begin with http:// or https://");
  }
  if (auto checked = net::validate(options); !checked) {
    throw topology_error(part + ": client: " + checked.error().to_string());
  }
}

}  // namespace detail

}  // namespace millrace::http
