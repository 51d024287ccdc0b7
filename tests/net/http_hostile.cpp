// SPDX-License-Identifier: Apache-2.0
// The client against peers that break the rules, byte by byte.
#include <millrace/net/http_client.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/raw_peer.hpp"

#include <chrono>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using net::http_client;
using net::http_method;
using net::http_response;
using testing::raw_peer;

namespace {

/// A text that the test changes while the peer's threads read it.
class shared_text {
 public:
  void set(std::string text) {
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }
  std::string get() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

struct caller {
  explicit caller(net::http_client_options options = {.timeout = 5s})
      : client(env, std::move(options)) {}

  result<http_response> fetch(net::http_request request) {
    std::optional<result<http_response>> outcome;
    client.send(std::move(request), [&](result<http_response> r) { outcome = std::move(r); });
    REQUIRE(env.run_until([&] { return outcome.has_value(); }));
    CHECK(client.statistics().in_flight == 0);
    return *std::move(outcome);
  }

  testing::asio_environment env;
  http_client client;
};

/// What the client makes of one answer, given in pieces of `step` bytes, then the end.
result<http_response> answer_with(const std::string& bytes, std::size_t step = std::string::npos,
                                  net::http_client_options options = {.timeout = 5s},
                                  http_method method = http_method::get) {
  raw_peer peer([&](raw_peer::connection& c) {
    if (c.read_request().empty()) return;
    for (std::size_t at = 0; at < bytes.size(); at += std::min(step, bytes.size())) {
      if (!c.send(std::string_view{bytes}.substr(at, step))) return;
      if (step < bytes.size()) std::this_thread::sleep_for(50us);
    }
  });
  caller from(std::move(options));
  return from.fetch({.method = method, .url = peer.url("/")});
}

errc error_of(const result<http_response>& r) {
  REQUIRE_FALSE(r);
  return static_cast<errc>(r.error().code.value());
}

const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello";
const std::string chunked =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3;name=value\r\nhel\r\n2\r\nlo\r\n0\r\nContent-Type: trailer\r\n\r\n";

}  // namespace

TEST_CASE("responses that trickle in byte by byte are read") {
  CHECK(answer_with(good, 1)->body == "hello");
  CHECK(answer_with(chunked, 1)->body == "hello");
  const auto packed = net::gzip_compress("hello");
  const auto gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " +
                    std::to_string(packed.size()) + "\r\n\r\n" + packed;
  CHECK(answer_with(gzip, 1)->body == "hello");
}

TEST_CASE("trailers are dropped, not mixed with the header") {
  const auto response = answer_with(chunked);
  CHECK(response->body == "hello");
  CHECK_FALSE(response->headers.contains("Content-Type"));
}

TEST_CASE("a connection that is cut at any byte is noticed at every byte") {
  for (const auto& text : {good, chunked}) {
    shared_text cut;
    raw_peer peer([&](raw_peer::connection& c) {
      if (!c.read_request().empty()) c.send(cut.get());
    });
    caller from;
    for (std::size_t n = 0; n <= text.size(); ++n) {
      INFO("after " << n << " of " << text.size() << " bytes");
      cut.set(text.substr(0, n));
      const auto response = from.fetch({.url = peer.url("/")});
      if (n == text.size()) {
        CHECK(response->body == "hello");
      } else {
        CHECK(error_of(response) == errc::connection_closed);
      }
    }
  }
}

TEST_CASE("a reset connection is reported as closed") {
  raw_peer peer([](raw_peer::connection& c) {
    c.read_request();
    c.send("HTTP/1.1 200 OK\r\n");
    c.reset_on_close();
  });
  CHECK(error_of(caller{}.fetch({.url = peer.url("/")})) == errc::connection_closed);
}

TEST_CASE("what is not HTTP is a protocol error") {
  for (const char* bytes : {
           "SSH-2.0-OpenSSH_9.2\r\n",
           "\x16\x03\x01\x02\x01\x01\x01\x01\x01\x01\x01\x01",
           "HTTP/2.0 200 OK\r\n\r\n",
           "HTTP/1.1 20 OK\r\n\r\n",
           "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
           "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
           "HTTP/1.1 200 OK\r\nBad name: x\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxxxx",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhelloX\r\n0\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nhel\r\n0\r\n\r\n",
           "HTTP/1.1 101 Switching Protocols\r\n\r\n",
       }) {
    INFO(bytes);
    CHECK(error_of(answer_with(bytes)) == errc::protocol_error);
  }
}

TEST_CASE("informational responses are skipped, up to a limit") {
  const std::string early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
  CHECK(answer_with("HTTP/1.1 100 Continue\r\n\r\n" + early + good)->body == "hello");
  std::string many;
  for (int i = 0; i < 100; ++i) many += early;
  CHECK(error_of(answer_with(many + good)) == errc::protocol_error);
}

TEST_CASE("a header that is too large is refused, whatever it consists of") {
  const net::http_client_options small{.timeout = 5s, .max_header = 1024};
  const std::string start = "HTTP/1.1 200 OK\r\n";
  CHECK(error_of(answer_with(start + "X: " + std::string(5000, 'x'), std::string::npos, small)) ==
        errc::too_large);
  std::string many = start;
  for (int i = 0; i < 500; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  CHECK(error_of(answer_with(many + "\r\n", 100, small)) == errc::too_large);
  CHECK(error_of(answer_with("HTTP/1.1 200 " + std::string(5000, 'x'), 333, small)) ==
        errc::too_large);
  CHECK(error_of(answer_with(start + "X: " + std::string(1'000'000, 'x'), 65536)) ==
        errc::too_large);
  CHECK(answer_with(start + "X: " + std::string(60'000, 'x') + "\r\nContent-Length: 0\r\n\r\n", 999)
            ->headers.value("x")
            .size() == 60'000);
}

TEST_CASE("an endless chunk extension and endless trailers are refused") {
  const std::string start = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(error_of(answer_with(start + "5;" + std::string(1'000'000, 'x'), 65536)) ==
        errc::too_large);
  CHECK(error_of(answer_with(start + "0\r\nX: " + std::string(1'000'000, 'x'), 65536)) ==
        errc::too_large);
}

TEST_CASE("a body that is too large is refused in every framing") {
  const net::http_client_options small{.timeout = 5s, .max_body = 1000};
  const std::string start = "HTTP/1.1 200 OK\r\n";
  const auto text = [](std::size_t n) { return std::string(n, 'x'); };
  const auto try_it = [&](const std::string& bytes) {
    return answer_with(bytes, std::string::npos, small);
  };
  CHECK(try_it(start + "Content-Length: 1000\r\n\r\n" + text(1000))->body.size() == 1000);
  CHECK(error_of(try_it(start + "Content-Length: 1001\r\n\r\n")) == errc::too_large);
  CHECK(error_of(try_it(start + "Content-Length: 18446744073709551615\r\n\r\n")) ==
        errc::too_large);
  CHECK(try_it(start + "\r\n" + text(1000))->body.size() == 1000);
  CHECK(error_of(try_it(start + "\r\n" + text(1001))) == errc::too_large);
  const std::string in_chunks = start + "Transfer-Encoding: chunked\r\n\r\n";
  CHECK(error_of(try_it(in_chunks + "3e9\r\n")) == errc::too_large);
  CHECK(error_of(try_it(in_chunks + "3e8\r\n" + text(1000) + "\r\n1\r\nx\r\n0\r\n\r\n")) ==
        errc::too_large);
  CHECK_FALSE(try_it(in_chunks + "ffffffffffffffff1\r\n"));
}

TEST_CASE("a gzip bomb is stopped at the limit of the body") {
  const auto bomb = net::gzip_compress(std::string(50'000'000, '0'));
  const auto bytes = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " +
                     std::to_string(bomb.size()) + "\r\n\r\n" + bomb;
  const auto response =
      answer_with(bytes, std::string::npos, {.timeout = 5s, .max_body = 1'000'000});
  CHECK(error_of(response) == errc::too_large);
}

TEST_CASE("broken and unknown content codings are errors") {
  const auto with = [](const std::string& coding, const std::string& body) {
    return answer_with("HTTP/1.1 200 OK\r\nContent-Encoding: " + coding +
                       "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  const auto packed = net::gzip_compress("hello");
  CHECK(with("gzip", packed)->body == "hello");
  CHECK(with("identity", "hello")->body == "hello");
  CHECK(with("gzip", "")->body.empty());
  CHECK(error_of(with("gzip", "plain text")) == errc::malformed);
  CHECK(error_of(with("gzip", packed.substr(0, packed.size() - 1))) == errc::malformed);
  CHECK(error_of(with("gzip", packed.substr(0, 5))) == errc::malformed);
  CHECK(error_of(with("deflate", packed)) == errc::malformed);
  CHECK(error_of(with("br", packed)) == errc::not_supported);
  CHECK(error_of(with("gzip, gzip", packed)) == errc::not_supported);
}

TEST_CASE("bytes behind a response never become the next one") {
  raw_peer peer([](raw_peer::connection& c) {
    while (!c.read_request().empty()) {
      c.send(good + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    }
  });
  caller from;
  for (int i = 1; i <= 3; ++i) {
    CHECK(from.fetch({.url = peer.url("/")})->body == "hello");
    CHECK(peer.accepted() == i);
  }
}

TEST_CASE("bytes that come while a connection is idle never become a response") {
  raw_peer peer([](raw_peer::connection& c) {
    if (c.read_request().empty()) return;
    c.send(good);
    std::this_thread::sleep_for(20ms);
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    c.wait_for_close();
  });
  caller from;
  CHECK(from.fetch({.url = peer.url("/")})->body == "hello");
  from.env.run_for(60ms);
  CHECK(from.fetch({.url = peer.url("/")})->body == "hello");
  CHECK(peer.accepted() == 2);
}

TEST_CASE("a peer that answers before it has read the request is understood") {
  raw_peer peer([](raw_peer::connection& c) {
    c.send("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    c.wait_for_close();
  });
  caller from;
  const auto response = from.fetch(
      {.method = http_method::post, .url = peer.url("/"), .body = std::string(30'000'000, 'x')});
  REQUIRE(response);
  CHECK(response->status == 413);
}

TEST_CASE("a peer that never answers, or stops in the middle, costs the timeout and no slot") {
  raw_peer peer([](raw_peer::connection& c) {
    if (c.number() % 2 == 0) c.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    c.wait_for_close();
  });
  caller from({.connections_per_host = 2, .timeout = 30ms});
  for (int i = 0; i < 6; ++i) {
    CHECK(error_of(from.fetch({.url = peer.url("/")})) == errc::timeout);
    CHECK(from.client.statistics().open == 0);
  }
}

TEST_CASE("HTTP/1.0 and Connection: close end the connection, keep-alive keeps it") {
  shared_text answer;
  raw_peer peer([&](raw_peer::connection& c) {
    while (!c.read_request().empty()) c.send(answer.get());
  });
  caller from;
  const auto connections = [&](const std::string& text) {
    answer.set(text);
    const auto before = peer.accepted();
    for (int i = 0; i < 3; ++i) CHECK(from.fetch({.url = peer.url("/")})->body == "x");
    return peer.accepted() - before;
  };
  CHECK(connections("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx") == 3);
  CHECK(connections("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx") == 3);
  CHECK(connections("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx") ==
        1);
}

TEST_CASE("random corruption of a response is an answer or an error, never anything else") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  shared_text answer;
  raw_peer peer([&](raw_peer::connection& c) {
    if (!c.read_request().empty()) c.send(answer.get());
  });
  caller from({.timeout = 2s, .max_body = 100'000});
  for (int i = 0; i < 400; ++i) {
    const auto packed = net::gzip_compress(std::string(300, 'z'));
    const auto gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " +
                      std::to_string(packed.size()) + "\r\n\r\n" + packed;
    auto bytes = random() % 3 == 0 ? good : random() % 2 == 0 ? chunked : gzip;
    for (auto n = 1 + random() % 4; n > 0; --n) {
      const auto at = random() % bytes.size();
      switch (random() % 3) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes.erase(at, 1 + random() % 5); break;
        default: bytes.insert(at, 1 + random() % 5, static_cast<char>(random())); break;
      }
    }
    answer.set(bytes);
    std::optional<result<http_response>> outcome;
    from.client.send({.url = peer.url("/")},
                     [&](result<http_response> r) { outcome = std::move(r); });
    REQUIRE(from.env.run_until([&] { return outcome.has_value(); }));
    if (*outcome) CHECK((*outcome)->status >= 100);
  }
  CHECK(from.client.statistics().open == from.client.statistics().idle);
}
