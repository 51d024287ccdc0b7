// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/tls.hpp>
#include <millrace/net/tls_context.hpp>

#include "catch.hpp"
#include "support/certificates.hpp"

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

using namespace millrace;
using Catch::Matchers::ContainsSubstring;
using net::tls_options;
using net::tls_verify;

namespace {

std::string words(const tls_options& options) {
  const auto checked = net::validate(options);
  return checked ? "good" : checked.error().to_string();
}

struct ssl_pair {
  SSL* client;
  SSL* server;
  ssl_pair(SSL_CTX* c, SSL_CTX* s) : client(SSL_new(c)), server(SSL_new(s)) {
    BIO* near_end = nullptr;
    BIO* far_end = nullptr;
    BIO_new_bio_pair(&near_end, 0, &far_end, 0);
    SSL_set_bio(client, near_end, near_end);
    SSL_set_bio(server, far_end, far_end);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
  }
  ssl_pair(const ssl_pair&) = delete;
  ssl_pair& operator=(const ssl_pair&) = delete;
  ~ssl_pair() {
    SSL_free(client);
    SSL_free(server);
  }

  /// Both ends in turn, in memory; empty if the handshake succeeded, else the client's words.
  std::string handshake() {
    for (int turn = 0; turn < 20; ++turn) {
      ERR_clear_error();
      const int c = SSL_do_handshake(client);
      if (c <= 0 && SSL_get_error(client, c) == SSL_ERROR_SSL) {
        const boost::system::error_code code(static_cast<int>(ERR_get_error()),
                                             boost::asio::error::get_ssl_category());
        return net::tls_handshake_words(code, client);
      }
      ERR_clear_error();
      const int s = SSL_do_handshake(server);
      if (s <= 0 && SSL_get_error(server, s) == SSL_ERROR_SSL) {
        const boost::system::error_code code(static_cast<int>(ERR_get_error()),
                                             boost::asio::error::get_ssl_category());
        return "server: " + net::tls_handshake_words(code, server);
      }
      if (c == 1 && s == 1) return "";
    }
    return "no end";
  }
};

std::string handshake(const tls_options& client, const tls_options& server,
                      const std::string& host) {
  const auto c = net::make_tls_context(client).value();
  const auto s = net::make_tls_server_context(server).value();
  ssl_pair pair(c->native_handle(), s->native_handle());
  net::prepare_tls_stream(pair.client, client, host).value();
  return pair.handshake();
}

tls_options identity(const testing::certificate_authority::files& files) {
  return {.certificate_file = files.certificate, .private_key_file = files.key};
}

}  // namespace

TEST_CASE("good TLS options are accepted, with the system's trust or a file's") {
  testing::certificate_authority ca;
  CHECK(words({}) == "good");
  CHECK(words({.ca_file = ca.ca_file()}) == "good");
  CHECK(words({.ca_path = ca.directory()}) == "good");
  CHECK(words(identity(ca.client())) == "good");
  const auto secret = ca.issue("secret", {.common_name = "c", .key_password = "opens it"});
  auto options = identity(secret);
  options.private_key_password = "opens it";
  CHECK(words(options) == "good");

  const auto both = ca.directory() + "/both.pem";
  {
    std::ofstream out(both);
    for (const auto& part : {ca.client().certificate, ca.client().key}) {
      std::ifstream in(part);
      out << in.rdbuf();
    }
  }
  CHECK(words({.certificate_file = both}) == "good");
}

TEST_CASE("a wrong TLS option is refused with the option's name, the file and the reason") {
  testing::certificate_authority ca;
  CHECK_THAT(words({.ca_file = "/does/not/exist.pem"}),
             ContainsSubstring("ca_file '/does/not/exist.pem': there is no such file"));
  CHECK_THAT(words({.ca_file = ca.directory()}), ContainsSubstring("is a directory"));
  CHECK_THAT(words({.ca_file = ca.server().key}), ContainsSubstring("holds no certificate in PEM"));
  CHECK_THAT(words({.ca_path = ca.ca_file()}), ContainsSubstring("no such directory"));
  CHECK_THAT(words({.private_key_file = ca.client().key}),
             ContainsSubstring("a key without certificate_file"));
  CHECK_THAT(words({.certificate_file = ca.client().key}),
             ContainsSubstring("certificate_file '" + ca.client().key + "': holds no certificate"));
  CHECK_THAT(words({.certificate_file = ca.client().certificate}),
             ContainsSubstring("private_key_file is empty"));
  CHECK_THAT(words({.certificate_file = ca.client().certificate, .private_key_file = "/gone.key"}),
             ContainsSubstring("private_key_file '/gone.key': there is no such file"));
  CHECK_THAT(
      words({.certificate_file = ca.client().certificate, .private_key_file = ca.server().key}),
      ContainsSubstring("does not fit the certificate '" + ca.client().certificate + "'"));
  const auto secret = ca.issue("secret", {.common_name = "c", .key_password = "opens it"});
  CHECK_THAT(words(identity(secret)), ContainsSubstring("private_key_password"));
  auto wrong = identity(secret);
  wrong.private_key_password = "not this";
  CHECK_THAT(words(wrong), ContainsSubstring("private_key_password"));
  CHECK(words(wrong).find("not this") == std::string::npos);
  CHECK_THAT(words({.alpn = {""}}), ContainsSubstring("1 to 255 bytes"));
  CHECK_FALSE(net::make_tls_server_context({}).has_value());
}

TEST_CASE("a handshake verifies the chain and the host name by default") {
  testing::certificate_authority ca;
  testing::certificate_authority stranger("another authority");
  const auto server = identity(ca.server());
  const tls_options trusting{.ca_file = ca.ca_file()};
  CHECK(handshake(trusting, server, "localhost") == "");
  CHECK(handshake(trusting, server, "127.0.0.1") == "");
  CHECK(handshake(trusting, server, "::1") == "");
  CHECK_THAT(handshake(trusting, server, "elsewhere.example"),
             ContainsSubstring("verify failed") && ContainsSubstring("ostname mismatch"));
  CHECK_THAT(handshake(trusting, server, "127.0.0.2"), ContainsSubstring("IP address mismatch"));
  CHECK_THAT(handshake({}, server, "localhost"), ContainsSubstring("certificate verify failed ("));
  CHECK_THAT(handshake({.ca_file = stranger.ca_file()}, server, "localhost"),
             ContainsSubstring("certificate verify failed ("));
  const auto old = ca.issue("old", {.common_name = "localhost",
                                    .alternative_names = "DNS:localhost",
                                    .valid_from_seconds = -7200,
                                    .valid_to_seconds = -3600});
  CHECK_THAT(handshake(trusting, identity(old), "localhost"), ContainsSubstring("expired"));
}

TEST_CASE("a given server name is verified in place of the host") {
  testing::certificate_authority ca;
  const auto server = identity(ca.server());
  CHECK(handshake({.ca_file = ca.ca_file(), .server_name = "localhost"}, server, "10.0.0.9") == "");
  CHECK_THAT(handshake({.ca_file = ca.ca_file(), .server_name = "other"}, server, "localhost"),
             ContainsSubstring("mismatch"));
}

TEST_CASE("without verification a handshake accepts anybody") {
  testing::certificate_authority ca;
  CHECK(handshake({.verify = tls_verify::none}, identity(ca.server()), "elsewhere") == "");
}

TEST_CASE("a server that trusts an authority demands a certificate of its clients") {
  testing::certificate_authority ca;
  testing::certificate_authority stranger("another authority");
  auto server = identity(ca.server());
  server.ca_file = ca.ca_file();
  auto client = identity(ca.client());
  client.ca_file = ca.ca_file();
  CHECK(handshake(client, server, "localhost") == "");
  CHECK_THAT(handshake({.ca_file = ca.ca_file()}, server, "localhost"),
             ContainsSubstring("server: peer did not return a certificate"));
  auto unknown = identity(stranger.client());
  unknown.ca_file = ca.ca_file();
  CHECK_THAT(handshake(unknown, server, "localhost"),
             ContainsSubstring("server: certificate verify failed"));
}

TEST_CASE("TLS 1.2 is the least version that is spoken") {
  testing::certificate_authority ca;
  const tls_options client{.ca_file = ca.ca_file()};
  const auto c = net::make_tls_context(client).value();
  const auto s = net::make_tls_server_context(identity(ca.server())).value();
  CHECK(SSL_CTX_get_min_proto_version(c->native_handle()) == TLS1_2_VERSION);
  CHECK(SSL_CTX_get_min_proto_version(s->native_handle()) == TLS1_2_VERSION);
  SSL_CTX_set_min_proto_version(s->native_handle(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(s->native_handle(), TLS1_1_VERSION);
  ssl_pair pair(c->native_handle(), s->native_handle());
  CHECK(pair.handshake() != "");
}

TEST_CASE("the application protocol is agreed on with ALPN") {
  testing::certificate_authority ca;
  const tls_options client{.ca_file = ca.ca_file(), .alpn = {"x-amzn-mqtt-ca", "mqtt"}};
  auto server = identity(ca.server());
  server.alpn = {"mqtt"};
  const auto c = net::make_tls_context(client).value();
  const auto s = net::make_tls_server_context(server).value();
  ssl_pair pair(c->native_handle(), s->native_handle());
  net::prepare_tls_stream(pair.client, client, "localhost").value();
  REQUIRE(pair.handshake() == "");
  const unsigned char* chosen = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(pair.client, &chosen, &length);
  CHECK(std::string(reinterpret_cast<const char*>(chosen), length) == "mqtt");
}
