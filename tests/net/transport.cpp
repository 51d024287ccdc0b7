// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/transport.hpp>
#include <millrace/net/transport_acceptor.hpp>
#include <millrace/net/transport_awaitable.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/certificates.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using boost::asio::use_awaitable;
using boost::asio::ip::tcp;
using Catch::Matchers::ContainsSubstring;

namespace {

using transport_pointer = std::unique_ptr<net::transport>;

enum class kind { tcp, tls, websocket, websocket_tls };

const kind all_kinds[] = {kind::tcp, kind::tls, kind::websocket, kind::websocket_tls};

const char* name(kind k) {
  const char* names[] = {"tcp", "tls", "websocket", "websocket over tls"};
  return names[static_cast<int>(k)];
}

bool has_tls(kind k) { return k == kind::tls || k == kind::websocket_tls; }
bool has_websocket(kind k) { return k == kind::websocket || k == kind::websocket_tls; }

struct fixture {
  testing::asio_environment env;
  testing::certificate_authority ca;
  std::vector<transport_pointer> accepted;

  net::listen_options listening(kind k) const {
    net::listen_options options;
    if (has_tls(k)) {
      options.tls = net::tls_options{.certificate_file = ca.server().certificate,
                                     .private_key_file = ca.server().key};
    }
    if (has_websocket(k)) {
      options.framing = net::transport_framing::websocket;
      options.websocket_protocol = "mqtt";
    }
    return options;
  }

  std::unique_ptr<net::transport_acceptor> listen(const net::listen_options& options) {
    return net::listen(env, options,
                       [this](transport_pointer t) { accepted.push_back(std::move(t)); })
        .value();
  }

  net::transport_options opening(kind k) const {
    net::transport_options options;
    if (has_tls(k)) options.tls.ca_file = ca.ca_file();
    if (has_websocket(k)) options.websocket_protocol = "mqtt";
    return options;
  }

  static net::url where(kind k, std::uint16_t port, const std::string& host = "127.0.0.1") {
    const char* schemes[] = {"mqtt", "mqtts", "ws", "wss"};
    return net::parse_url(schemes[static_cast<int>(k)] + ("://" + host) + ":" +
                          std::to_string(port) + "/mqtt")
        .value();
  }

  /// Opens and waits for the outcome.
  result<transport_pointer> open(const net::url& url, const net::transport_options& options) {
    std::optional<result<transport_pointer>> outcome;
    net::open_transport(env, url, options,
                        [&](result<transport_pointer> r) { outcome.emplace(std::move(r)); });
    CHECK_FALSE(outcome.has_value());
    REQUIRE(env.run_until([&] { return outcome.has_value(); }));
    return std::move(*outcome);
  }

  std::string open_words(const net::url& url, const net::transport_options& options) {
    auto outcome = open(url, options);
    return outcome ? "connected" : outcome.error().to_string();
  }

  /// A connected pair: client, server.
  std::pair<transport_pointer, transport_pointer> connect(kind k) {
    const auto acceptor = listen(listening(k));
    auto client = open(where(k, acceptor->port()), opening(k)).value();
    REQUIRE(env.run_until([&] { return !accepted.empty(); }));
    auto server = std::move(accepted.back());
    accepted.pop_back();
    return {std::move(client), std::move(server)};
  }

  result<std::size_t> read(net::transport& t, std::span<char> into) {
    std::optional<result<std::size_t>> outcome;
    t.read_some(into, [&](result<std::size_t> r) { outcome.emplace(std::move(r)); });
    REQUIRE(env.run_until([&] { return outcome.has_value(); }));
    return std::move(*outcome);
  }

  result<std::size_t> write(net::transport& t, std::vector<std::string_view> buffers) {
    std::optional<result<std::size_t>> outcome;
    t.write(buffers, [&](result<std::size_t> r) { outcome.emplace(std::move(r)); });
    REQUIRE(env.run_until([&] { return outcome.has_value(); }));
    return std::move(*outcome);
  }
};

/// Reads until `size` bytes have come, or the stream ends.
boost::asio::awaitable<std::string> read_all(environment& env, net::transport& t, std::size_t size,
                                             std::size_t chunk) {
  std::string all;
  std::vector<char> buffer(chunk);
  while (all.size() < size) {
    const auto got = co_await net::async_read_some(env, t, buffer, use_awaitable);
    if (!got) break;
    all.append(buffer.data(), *got);
  }
  co_return all;
}

boost::asio::awaitable<void> write_all(environment& env, net::transport& t, const std::string& data,
                                       unsigned seed) {
  std::mt19937 random(seed);
  std::size_t sent = 0;
  while (sent < data.size()) {
    std::vector<std::string_view> pieces;
    for (auto i = random() % 70; i-- > 0;) {
      const std::string_view rest = std::string_view(data).substr(sent);
      pieces.push_back(rest.substr(0, random() % (random() % 8 == 0 ? 50000 : 200)));
      sent += pieces.back().size();
    }
    const auto wrote = co_await net::async_write(env, t, pieces, use_awaitable);
    if (!wrote) break;
  }
}

}  // namespace

TEST_CASE("bytes arrive whole and in order over every kind of stream, both ways at once") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  for (const kind k : all_kinds) {
    INFO(name(k));
    fixture f;
    auto [client, server] = f.connect(k);
    std::mt19937 random(seed);
    std::string up(1'500'000, '\0');
    std::string down(1'000'000, '\0');
    for (char& c : up) c = static_cast<char>(random());
    for (char& c : down) c = static_cast<char>(random());
    std::string got_up;
    std::string got_down;
    auto& executor = f.env.executor().handle;
    using boost::asio::co_spawn;
    co_spawn(executor, write_all(f.env, *client, up, seed), boost::asio::detached);
    co_spawn(executor, write_all(f.env, *server, down, seed + 1), boost::asio::detached);
    co_spawn(executor, read_all(f.env, *server, up.size(), 100'000),
             [&](const std::exception_ptr&, std::string s) { got_up = std::move(s); });
    co_spawn(executor, read_all(f.env, *client, down.size(), 1000),
             [&](const std::exception_ptr&, std::string s) { got_down = std::move(s); });
    REQUIRE(f.env.run_until([&] { return !got_up.empty() && !got_down.empty(); }));
    CHECK(got_up == up);
    CHECK(got_down == down);
  }
}

TEST_CASE("a goodbye lets what was written before arrive, and ends the peer's stream") {
  for (const kind k : all_kinds) {
    INFO(name(k));
    fixture f;
    auto [client, server] = f.connect(k);
    // Unread data on the client's side would turn a plain close into a reset.
    REQUIRE(f.write(*server, {"unread"}));
    REQUIRE(f.write(*client, {"last ", "", "words"}).value() >= 10);
    std::optional<bool> said;
    client->shutdown([&](const result<void>& r) { said = r.has_value(); });
    std::array<char, 100> buffer{};
    CHECK(std::string(buffer.data(), f.read(*server, buffer).value()) == "last words");
    const auto end = f.read(*server, buffer);
    REQUIRE_FALSE(end);
    CHECK(end.error().code == errc::connection_closed);
    CHECK_THAT(end.error().message, ContainsSubstring("read from 127.0.0.1:"));
    server.reset();
    REQUIRE(f.env.run_until([&] { return said.has_value(); }));
    CHECK(*said);
    CHECK(f.env.pending_timers() == 0);
  }
}

TEST_CASE("a goodbye while a read is pending ends that read") {
  for (const kind k : all_kinds) {
    INFO(name(k));
    fixture f;
    auto [client, server] = f.connect(k);
    std::array<char, 100> buffer{};
    std::optional<result<std::size_t>> pending;
    client->read_some(buffer, [&](result<std::size_t> r) { pending.emplace(std::move(r)); });
    std::optional<bool> said;
    client->shutdown([&](const result<void>& r) { said = r.has_value(); });
    std::array<char, 100> other{};
    CHECK_FALSE(f.read(*server, other));
    server.reset();
    REQUIRE(f.env.run_until([&] { return said.has_value() && pending.has_value(); }));
    CHECK_FALSE(pending->has_value());
    CHECK(*said);
  }
}

TEST_CASE("a goodbye to a peer that does not answer ends after its time limit") {
  fixture f;
  const auto acceptor = f.listen(f.listening(kind::tcp));
  auto options = f.opening(kind::tcp);
  options.shutdown_timeout = 30ms;
  auto client = f.open(fixture::where(kind::tcp, acceptor->port()), options).value();
  std::optional<result<void>> said;
  client->shutdown([&](result<void> r) { said.emplace(std::move(r)); });
  REQUIRE(f.env.run_until([&] { return said.has_value(); }));
  REQUIRE_FALSE(said->has_value());
  CHECK(said->error().code == errc::timeout);
}

TEST_CASE("closing or destroying a stream completes what is pending as aborted, exactly once") {
  for (const kind k : all_kinds) {
    for (const bool destroy : {false, true}) {
      INFO(name(k) << (destroy ? ", destroyed" : ", closed"));
      fixture f;
      auto [client, server] = f.connect(k);
      std::array<char, 100> buffer{};
      const std::string much(32'000'000, 'x');
      int reads = 0;
      int writes = 0;
      client->read_some(buffer, [&](const result<std::size_t>& r) {
        ++reads;
        CHECK(r.error().code == errc::aborted);
      });
      const std::string_view buffers[] = {much};
      client->write(buffers, [&](const result<std::size_t>& r) {
        ++writes;
        CHECK(r.error().code == errc::aborted);
      });
      f.env.run_for(5ms);
      if (destroy) {
        client.reset();
      } else {
        client->close();
        client->close();
      }
      CHECK(reads + writes == 0);
      REQUIRE(f.env.run_until([&] { return reads > 0 && writes > 0; }));
      f.env.run_for(2ms);
      CHECK(reads == 1);
      CHECK(writes == 1);
      if (!destroy) {
        CHECK(f.read(*client, buffer).error().code == errc::aborted);
        CHECK(f.write(*client, {"x"}).error().code == errc::aborted);
      }
    }
  }
}

TEST_CASE("a peer that vanishes is reported as a closed connection") {
  for (const kind k : all_kinds) {
    INFO(name(k));
    fixture f;
    auto [client, server] = f.connect(k);
    server.reset();
    std::array<char, 100> buffer{};
    const auto end = f.read(*client, buffer);
    REQUIRE_FALSE(end);
    CHECK(end.error().code == errc::connection_closed);
  }
}

TEST_CASE("a refused connection is told with its address") {
  fixture f;
  const auto port = f.listen(f.listening(kind::tcp))->port();
  const auto at = "127.0.0.1:" + std::to_string(port);
  CHECK(f.open_words(fixture::where(kind::tcp, port), {}) ==
        "connect to " + at + ": Connection refused");
  const auto words = f.open_words(fixture::where(kind::tcp, port, "localhost"), {});
  CHECK_THAT(words, ContainsSubstring(at) && ContainsSubstring("Connection refused"));
  CHECK(f.env.pending_timers() == 0);
}

TEST_CASE("a host with several addresses is reached by the one that listens") {
  fixture f;
  const auto acceptor = f.listen(f.listening(kind::tcp));  // IPv4 only; localhost may be ::1 first
  CHECK(f.open_words(fixture::where(kind::tcp, acceptor->port(), "localhost"), {}) == "connected");
}

TEST_CASE("an unknown host is told as a failure to resolve") {
  fixture f;
  const auto words = f.open_words(fixture::where(kind::tcp, 1883, "no-such-host.invalid"),
                                  {.resolve_timeout = 5s});
  CHECK_THAT(words, ContainsSubstring("resolve 'no-such-host.invalid': "));
}

TEST_CASE("a handshake that is not answered ends after its time limit, and says which it was") {
  fixture f;
  // Accepts in the kernel, and stays silent.
  tcp::acceptor silent(f.env.context(), {boost::asio::ip::address_v4::loopback(), 0});
  const auto port = silent.local_endpoint().port();
  for (const kind k : {kind::tls, kind::websocket, kind::websocket_tls}) {
    auto options = f.opening(k);
    options.handshake_timeout = 20ms;
    const auto* step = has_tls(k) ? "TLS handshake with 127.0.0.1:" : "WebSocket handshake with ";
    const auto words = f.open_words(fixture::where(k, port), options);
    CHECK_THAT(words, ContainsSubstring(step) && ContainsSubstring("timed out"));
  }
  CHECK(f.env.pending_timers() == 0);
}

TEST_CASE("cancelling an opening completes it as aborted at every step") {
  fixture f;
  tcp::acceptor silent(f.env.context(), {boost::asio::ip::address_v4::loopback(), 0});
  const auto port = silent.local_endpoint().port();
  for (const kind k : all_kinds) {
    for (const auto wait : {0ms, 5ms}) {
      if (k == kind::tcp && wait != 0ms) continue;
      for (const char* host : {"127.0.0.1", "localhost"}) {
        int calls = 0;
        std::error_code code;
        const auto opening = net::open_transport(f.env, fixture::where(k, port, host), f.opening(k),
                                                 [&](result<transport_pointer> r) {
                                                   ++calls;
                                                   code = r.error().code;
                                                 });
        if (wait != 0ms) f.env.run_for(wait);
        opening->cancel();
        opening->cancel();
        CHECK(calls == 0);
        REQUIRE(f.env.run_until([&] { return calls != 0; }));
        CHECK(code == errc::aborted);
        CHECK(calls == 1);
      }
    }
  }
  CHECK(f.env.pending_timers() == 0);
}

TEST_CASE("a server that cannot prove its name is refused, and the words say why") {
  fixture f;
  for (const kind k : {kind::tls, kind::websocket_tls}) {
    INFO(name(k));
    const auto acceptor = f.listen(f.listening(k));
    const auto url = fixture::where(k, acceptor->port());
    auto options = f.opening(k);
    options.tls.ca_file.clear();
    const auto at = "TLS handshake with 127.0.0.1:" + std::to_string(acceptor->port());
    CHECK_THAT(f.open_words(url, options), ContainsSubstring(at + ": certificate verify failed ("));
    options = f.opening(k);
    options.tls.server_name = "elsewhere.example";
    CHECK_THAT(f.open_words(url, options), ContainsSubstring("mismatch"));
    options.tls.verify = net::tls_verify::none;
    CHECK(f.open_words(url, options) == "connected");
    options.tls.ca_file = "/does/not/exist";
    CHECK_THAT(f.open_words(url, options), ContainsSubstring("there is no such file"));
  }
}

TEST_CASE("TLS to a server that speaks plain text asks whether the port is right") {
  fixture f;
  const auto acceptor = f.listen(f.listening(kind::tcp));
  std::optional<std::string> words;
  net::open_transport(f.env, fixture::where(kind::tls, acceptor->port()), f.opening(kind::tls),
                      [&](result<transport_pointer> r) { words = r.error().to_string(); });
  REQUIRE(f.env.run_until([&] { return !f.accepted.empty(); }));
  REQUIRE(f.write(*f.accepted.front(), {"hello, this is not TLS at all\r\n"}));
  REQUIRE(f.env.run_until([&] { return words.has_value(); }));
  CHECK_THAT(*words, ContainsSubstring("does the peer speak TLS on this port?"));
}

TEST_CASE("a WebSocket that is declined is told with the server's status") {
  fixture f;
  const auto acceptor = f.listen(f.listening(kind::tcp));
  std::optional<std::string> words;
  net::open_transport(f.env, fixture::where(kind::websocket, acceptor->port()),
                      f.opening(kind::websocket),
                      [&](result<transport_pointer> r) { words = r.error().to_string(); });
  REQUIRE(f.env.run_until([&] { return !f.accepted.empty(); }));
  std::array<char, 4096> buffer{};
  const auto request = std::string(buffer.data(), f.read(*f.accepted.front(), buffer).value());
  CHECK_THAT(request, ContainsSubstring("GET /mqtt HTTP/1.1\r\n"));
  CHECK_THAT(request, ContainsSubstring("Sec-WebSocket-Protocol: mqtt\r\n"));
  REQUIRE(f.write(*f.accepted.front(), {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"}));
  REQUIRE(f.env.run_until([&] { return words.has_value(); }));
  CHECK_THAT(*words, ContainsSubstring("the server answered 404 Not Found to the path '/mqtt'"));
}

TEST_CASE("a WebSocket server without the sub-protocol is refused") {
  fixture f;
  auto listening = f.listening(kind::websocket);
  listening.websocket_protocol = "chat";
  const auto acceptor = f.listen(listening);
  CHECK_THAT(
      f.open_words(fixture::where(kind::websocket, acceptor->port()), f.opening(kind::websocket)),
      ContainsSubstring("chose the sub-protocol '', not 'mqtt'"));
}

TEST_CASE("each write over a WebSocket is one binary frame, and empty writes are none") {
  fixture f;
  auto [client, server] = f.connect(kind::websocket);
  CHECK(f.write(*client, {}).value() == 0);
  CHECK(f.write(*client, {"", ""}).value() == 0);
  REQUIRE(f.write(*client, {"a", "b"}));
  REQUIRE(f.write(*client, {"cd"}));
  std::array<char, 100> buffer{};
  CHECK(std::string(buffer.data(), f.read(*server, buffer).value()) == "ab");
  CHECK(std::string(buffer.data(), f.read(*server, buffer).value()) == "cd");
}

TEST_CASE("an acceptor drops clients that never finish their handshake") {
  fixture f;
  auto listening = f.listening(kind::websocket_tls);
  listening.handshake_timeout = 20ms;
  listening.max_handshakes = 1;
  const auto acceptor = f.listen(listening);
  auto lazy = f.open(fixture::where(kind::tcp, acceptor->port()), f.opening(kind::tcp)).value();
  const auto url = fixture::where(kind::websocket_tls, acceptor->port());
  CHECK(f.open_words(url, f.opening(kind::websocket_tls)) == "connected");
  std::array<char, 10> buffer{};
  CHECK(f.read(*lazy, buffer).error().code == errc::connection_closed);
}

TEST_CASE("a port in use is told with its address, and free again after close") {
  fixture f;
  auto first = f.listen({});
  net::listen_options again{.port = first->port()};
  const auto second = net::listen(f.env, again, [](transport_pointer) {});
  REQUIRE_FALSE(second);
  CHECK(second.error().to_string() ==
        "listen on 127.0.0.1:" + std::to_string(first->port()) + ": Address already in use");
  first->close();
  CHECK(net::listen(f.env, again, [](transport_pointer) {}).has_value());
  CHECK_FALSE(net::listen(f.env, {.address = "localhost"}, [](transport_pointer) {}).has_value());
}

TEST_CASE("a context that goes away early frees whoever waits for its callbacks") {
  struct owner {
    std::shared_ptr<net::transport_opening> opening;
    transport_pointer stream;
    std::array<char, 10> buffer{};
  };
  std::weak_ptr<owner> watched;
  for (const int step : {0, 1, 2}) {
    fixture f;
    const auto acceptor = f.listen(f.listening(kind::tcp));
    const auto url = fixture::where(kind::tcp, acceptor->port());
    auto own = std::make_shared<owner>();
    watched = own;
    own->opening = net::open_transport(
        f.env, url, f.opening(kind::tcp),
        [own](result<transport_pointer> r) { own->stream = std::move(r).value(); });
    if (step == 0) continue;
    REQUIRE(f.env.run_until([&] { return own->stream != nullptr; }));
    if (step == 1) {
      own->stream->read_some(own->buffer, [own](const result<std::size_t>&) {});
    } else {
      own->stream->shutdown([own](const result<void>&) {});
    }
  }
  CHECK(watched.expired());
}
