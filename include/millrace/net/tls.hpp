// SPDX-License-Identifier: Apache-2.0
/// \file
/// Options of encrypted connections, for every connector alike. Light: OpenSSL stays in
/// `net/tls_context.hpp`. Values may be used from several threads as long as none writes.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>

#include <string>
#include <vector>

namespace millrace::net {

/// Whether the other side has to prove who it is.
enum class tls_verify {
  peer,  ///< its certificate must be valid, and name the host that was asked for
  none,  ///< encrypted, but with anybody
};

/// TLS 1.2 is the least version that is spoken. Files are PEM.
struct tls_options {
  std::string ca_file = {};  ///< certificates to trust; with `ca_path` empty too: the system's
  std::string ca_path = {};  ///< directory of such, named by hash (`openssl rehash`)
  std::string certificate_file = {};      ///< our own, followed by its chain (mutual TLS)
  std::string private_key_file = {};      ///< of our own; empty: it is in `certificate_file`
  std::string private_key_password = {};  ///< empty: the key is not encrypted
  std::string server_name = {};           ///< sent (SNI) and verified; empty: the host of the URL
  tls_verify verify = tls_verify::peer;
  std::vector<std::string> alpn = {};  ///< protocols to offer (RFC 7301), e.g. "http/1.1"

  bool operator==(const tls_options&) const = default;
};

/// Loads what the options name, and drops it again: files exist, can be read and hold what they
/// should, the private key fits its password and the certificate. The error is `errc::malformed`,
/// and names option and file. Reads files.
MILLRACE_DECL result<void> validate(const tls_options& options);

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/tls_context.hpp>
#endif
