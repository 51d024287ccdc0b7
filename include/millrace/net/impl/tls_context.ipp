// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/tls_context.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/error.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

namespace millrace::net {

namespace detail {

using tls_context_pointer = std::shared_ptr<boost::asio::ssl::context>;

/// OpenSSL's own reason of the first failure, later ones being its echoes; empties the queue.
inline std::string take_openssl_reason() {
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

inline millrace::error tls_option_error(std::string_view option, const std::string& value,
                                        const std::string& what) {
  return {errc::malformed, "TLS option " + std::string(option) + " '" + value + "': " + what};
}

inline result<void> check_tls_file(std::string_view option, const std::string& path) {
  std::error_code code;
  const auto status = std::filesystem::status(path, code);
  if (!std::filesystem::exists(status)) {
    return tls_option_error(option, path, "there is no such file");
  }
  if (std::filesystem::is_directory(status)) {
    return tls_option_error(option, path, "is a directory, not a file");
  }
  if (!std::ifstream(path)) return tls_option_error(option, path, "cannot be opened for reading");
  return {};
}

inline result<void> load_trust(SSL_CTX* context, const tls_options& options) {
  if (!options.ca_file.empty()) {
    if (auto checked = check_tls_file("ca_file", options.ca_file); !checked) return checked;
    if (SSL_CTX_load_verify_locations(context, options.ca_file.c_str(), nullptr) != 1) {
      return tls_option_error("ca_file", options.ca_file,
                              "holds no certificate in PEM (" + take_openssl_reason() + ")");
    }
  }
  if (!options.ca_path.empty()) {
    std::error_code code;
    if (!std::filesystem::is_directory(options.ca_path, code)) {
      return tls_option_error("ca_path", options.ca_path, "there is no such directory");
    }
    if (SSL_CTX_load_verify_locations(context, nullptr, options.ca_path.c_str()) != 1) {
      return tls_option_error("ca_path", options.ca_path, take_openssl_reason());
    }
  }
  return {};
}

inline int give_tls_password(char* buffer, int size, int /*writing*/, void* user) {
  // Without a callback OpenSSL would ask on the terminal.
  const auto& password = *static_cast<const std::string*>(user);
  if (size < 0 || password.size() > static_cast<std::size_t>(size)) return 0;
  std::memcpy(buffer, password.data(), password.size());
  return static_cast<int>(password.size());
}

inline result<void> load_identity(SSL_CTX* context, const tls_options& options) {
  if (options.certificate_file.empty()) {
    if (options.private_key_file.empty()) return {};
    return tls_option_error("private_key_file", options.private_key_file,
                            "a key without certificate_file");
  }
  if (auto checked = check_tls_file("certificate_file", options.certificate_file); !checked) {
    return checked;
  }
  if (SSL_CTX_use_certificate_chain_file(context, options.certificate_file.c_str()) != 1) {
    return tls_option_error("certificate_file", options.certificate_file,
                            "holds no certificate in PEM (" + take_openssl_reason() + ")");
  }
  const bool combined = options.private_key_file.empty();
  const auto& key_file = combined ? options.certificate_file : options.private_key_file;
  const std::string_view option =
      combined ? "certificate_file (private_key_file is empty)" : "private_key_file";
  if (auto checked = check_tls_file(option, key_file); !checked) return checked;

  // The context outlives the options: the password must not be reachable through it afterwards.
  SSL_CTX_set_default_passwd_cb(context, &give_tls_password);
  SSL_CTX_set_default_passwd_cb_userdata(context,
                                         const_cast<std::string*>(&options.private_key_password));
  const int loaded = SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_set_default_passwd_cb(context, nullptr);
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  if (loaded == 1 && SSL_CTX_check_private_key(context) == 1) return {};

  const unsigned long code = ERR_peek_last_error();
  if (ERR_GET_LIB(code) == ERR_LIB_X509) {
    ERR_clear_error();
    return tls_option_error(option, key_file,
                            "does not fit the certificate '" + options.certificate_file + "'");
  }
  return tls_option_error(option, key_file,
                          "holds no private key in PEM that private_key_password opens (" +
                              take_openssl_reason() + ")");
}

/// The protocol list in its wire format (RFC 7301, 3.1): each name behind its length.
inline result<std::string> encode_alpn(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const auto& name : protocols) {
    if (name.empty() || name.size() > 255) {
      return tls_option_error("alpn", name, "a protocol name has 1 to 255 bytes");
    }
    wire += static_cast<char>(name.size());
    wire += name;
  }
  if (wire.size() > 65535) return millrace::error{errc::too_large, "TLS option alpn"};
  return wire;
}

inline int choose_alpn(SSL* /*stream*/, const unsigned char** out, unsigned char* out_length,
                       const unsigned char* offered, unsigned offered_length, void* user) {
  const auto& ours = *static_cast<const std::string*>(user);
  unsigned char* chosen = nullptr;
  const int outcome = SSL_select_next_proto(
      &chosen, out_length, reinterpret_cast<const unsigned char*>(ours.data()),
      static_cast<unsigned>(ours.size()), offered, offered_length);
  *out = chosen;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

inline result<tls_context_pointer> make_tls_base_context(boost::asio::ssl::context::method method,
                                                         const tls_options& options) {
  ERR_clear_error();
  auto context = std::make_shared<boost::asio::ssl::context>(method);
  SSL_CTX* handle = context->native_handle();
  SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION);
  SSL_CTX_set_mode(handle, SSL_MODE_RELEASE_BUFFERS);
  if (auto loaded = load_trust(handle, options); !loaded) return loaded.error();
  if (auto loaded = load_identity(handle, options); !loaded) return loaded.error();
  return context;
}

}  // namespace detail

MILLRACE_DECL result<void> validate(const tls_options& options) {
  const auto context = make_tls_context(options);
  if (!context) return context.error();
  return {};
}

MILLRACE_DECL result<std::shared_ptr<boost::asio::ssl::context>> make_tls_context(
    const tls_options& options) {
  auto made = detail::make_tls_base_context(boost::asio::ssl::context::tls_client, options);
  if (!made) return made;
  SSL_CTX* handle = (*made)->native_handle();
  const bool verify = options.verify == tls_verify::peer;
  SSL_CTX_set_verify(handle, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (verify && options.ca_file.empty() && options.ca_path.empty()) {
    SSL_CTX_set_default_verify_paths(handle);
  }
  const auto wire = detail::encode_alpn(options.alpn);
  if (!wire) return wire.error();
  if (!wire->empty()) {
    SSL_CTX_set_alpn_protos(handle, reinterpret_cast<const unsigned char*>(wire->data()),
                            static_cast<unsigned>(wire->size()));
  }
  return made;
}

MILLRACE_DECL result<std::shared_ptr<boost::asio::ssl::context>> make_tls_server_context(
    const tls_options& options) {
  if (options.certificate_file.empty()) {
    return {errc::malformed, "TLS option certificate_file: a server needs a certificate"};
  }
  auto made = detail::make_tls_base_context(boost::asio::ssl::context::tls_server, options);
  if (!made) return made;
  SSL_CTX* handle = (*made)->native_handle();
  const bool trust = !options.ca_file.empty() || !options.ca_path.empty();
  if (trust && options.verify == tls_verify::peer) {
    SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    // Sessions of servers that verify need a context id, or resumption fails (SSL_CTX_set_verify).
    SSL_CTX_set_session_id_context(handle, reinterpret_cast<const unsigned char*>("millrace"), 8);
  }
  auto wire = detail::encode_alpn(options.alpn);
  if (!wire) return wire.error();
  if (wire->empty()) return made;
  struct with_protocols {
    std::string wire;
    detail::tls_context_pointer context;
  };
  // OpenSSL keeps only a pointer to the list: the two live and die together.
  auto both = std::make_shared<with_protocols>(with_protocols{std::move(*wire), *made});
  SSL_CTX_set_alpn_select_cb(handle, &detail::choose_alpn, &both->wire);
  return detail::tls_context_pointer(both, both->context.get());
}

MILLRACE_DECL result<void> prepare_tls_stream(SSL* stream, const tls_options& options,
                                              std::string_view host) {
  const std::string name = options.server_name.empty() ? std::string(host) : options.server_name;
  boost::system::error_code not_an_address;
  // A zone is local to this machine: no certificate holds it.
  const auto address =
      boost::asio::ip::make_address(name.substr(0, name.find('%')), not_an_address);
  const bool is_name = static_cast<bool>(not_an_address);
  // RFC 6066, 3: addresses are not permitted in SNI.
  if (is_name && !name.empty() && SSL_set_tlsext_host_name(stream, name.c_str()) != 1) {
    return {errc::malformed, "TLS server name '" + name + "': " + detail::take_openssl_reason()};
  }
  if (options.verify == tls_verify::none) return {};
  if (name.empty()) return {errc::malformed, "TLS: no server name to verify"};
  X509_VERIFY_PARAM* parameters = SSL_get0_param(stream);
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const int set = is_name ? X509_VERIFY_PARAM_set1_host(parameters, name.c_str(), name.size())
                          : X509_VERIFY_PARAM_set1_ip_asc(parameters, address.to_string().c_str());
  if (set != 1) {
    return {errc::malformed,
            "TLS server name '" + name + "' cannot be verified: " + detail::take_openssl_reason()};
  }
  return {};
}

MILLRACE_DECL std::string tls_handshake_words(const boost::system::error_code& code, SSL* stream) {
  if (code == boost::asio::error::eof || code == boost::asio::ssl::error::stream_truncated) {
    return "the peer closed the connection; does it speak TLS on this port?";
  }
  if (code.category() != boost::asio::error::get_ssl_category()) return code.message();
  const auto value = static_cast<unsigned long>(static_cast<unsigned>(code.value()));
  const char* reason = ERR_reason_error_string(value);
  std::string words = reason == nullptr ? code.message() : reason;
  const long verified = stream == nullptr ? X509_V_OK : SSL_get_verify_result(stream);
  if (verified != X509_V_OK) {
    words += " (" + std::string(X509_verify_cert_error_string(verified)) + ")";
  }
  if (ERR_GET_REASON(value) == SSL_R_WRONG_VERSION_NUMBER) {
    words += "; does the peer speak TLS on this port?";
  }
  return words;
}

}  // namespace millrace::net
