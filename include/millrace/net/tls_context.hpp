// SPDX-License-Identifier: Apache-2.0
/// \file
/// TLS contexts and streams from `tls_options`, for clients and for test servers. Includes Asio's
/// and OpenSSL's headers: for `.ipp` files. A context may be shared by streams of several threads.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>
#include <millrace/net/tls.hpp>

#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace millrace::net {

/// A context for connections that we open: TLS 1.2 or later, trust and own certificate as in
/// `options`. The error is `errc::malformed` and names option and file. Reads files.
MILLRACE_DECL result<std::shared_ptr<boost::asio::ssl::context>> make_tls_context(
    const tls_options& options);

/// A context for connections that we accept. A certificate is required; clients must show one of
/// their own if `ca_file` or `ca_path` is set and `verify` is `peer`. Of `alpn`, the first protocol
/// that the client offers too is chosen.
MILLRACE_DECL result<std::shared_ptr<boost::asio::ssl::context>> make_tls_server_context(
    const tls_options& options);

/// Prepares a client's stream before its handshake: sends the name of the server (SNI) and, with
/// `tls_verify::peer`, demands a certificate for it (RFC 6125; an IP address is compared with the
/// certificate's addresses). The name is `options.server_name`, or `host` where that is empty.
MILLRACE_DECL result<void> prepare_tls_stream(SSL* stream, const tls_options& options,
                                              std::string_view host);

/// What went wrong in a handshake, in words: "certificate verify failed (self-signed certificate)".
MILLRACE_DECL std::string tls_handshake_words(const boost::system::error_code& code, SSL* stream);

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/tls_context.ipp>
#endif
