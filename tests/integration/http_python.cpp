// SPDX-License-Identifier: Apache-2.0
// The HTTP client against a server that others have written: Python's http.server, with keep-alive,
// chunked and compressed responses.
#include <millrace/net/http_client.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/temporary_directory.hpp"

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>

using namespace millrace;
using net::http_response;

namespace {

const char* const program = R"python(
import gzip, http.server, sys, zlib

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def answer(self, body, **headers):
        self.send_response(200)
        for name, value in headers.items(): self.send_header(name.replace("_", "-"), value)
        if "Transfer_Encoding" not in headers: self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        text = ("line of text %d\n" * 5000 % tuple(range(5000))).encode()
        if self.path == "/gzip": return self.answer(gzip.compress(text), Content_Encoding="gzip")
        if self.path == "/zlib": return self.answer(zlib.compress(text), Content_Encoding="deflate")
        if self.path == "/raw":
            c = zlib.compressobj(9, zlib.DEFLATED, -15)
            return self.answer(c.compress(text) + c.flush(), Content_Encoding="deflate")
        if self.path == "/chunked":
            pieces = [text[i:i + 777] for i in range(0, len(text), 777)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
            return self.answer(body, Transfer_Encoding="chunked")
        if self.path == "/plain": return self.answer(text)
        self.send_error(404)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip": body = gzip.decompress(body)
        self.answer(body, X_Client=str(self.client_address[1]))

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
)python";

/// The program above in a process of its own, which ends with this object.
class python_server {
 public:
  python_server() {
    const auto path = directory_.file("server.py");
    std::ofstream(path) << program;
    int ends[2];
    if (::pipe(ends) != 0) return;
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::execlp("python3", "python3", path.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(ends[1]);
    std::FILE* out = ::fdopen(ends[0], "r");
    if (std::fscanf(out, "%d", &port_) != 1) port_ = 0;
    std::fclose(out);
  }
  python_server(const python_server&) = delete;
  python_server& operator=(const python_server&) = delete;
  ~python_server() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  bool running() const { return port_ != 0; }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  testing::temporary_directory directory_;
  pid_t child_ = -1;
  int port_ = 0;
};

}  // namespace

TEST_CASE("Python's http.server is understood in all framings and codings") {
  python_server server;
  if (!server.running()) MILLRACE_SKIP("no python3; install the package 'python3'");
  testing::asio_environment env;
  net::http_client client(env, {.connections_per_host = 1});
  const auto fetch = [&](net::http_request request) {
    std::optional<result<http_response>> outcome;
    client.send(std::move(request), [&](result<http_response> r) { outcome = std::move(r); });
    REQUIRE(env.run_until([&] { return outcome.has_value(); }));
    REQUIRE(*outcome);
    return **std::move(outcome);
  };
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "line of text " + std::to_string(i) + "\n";
  for (const char* path : {"/plain", "/chunked", "/gzip", "/zlib", "/raw"}) {
    INFO(path);
    CHECK(fetch({.url = server.url(path)}).body == text);
  }
  CHECK(fetch({.url = server.url("/nothing")}).status == 404);
  for (const auto coding : {net::content_coding::identity, net::content_coding::gzip}) {
    for (const std::size_t size : {0U, 1U, 100U, 3'000'000U}) {
      const auto response = fetch({.method = net::http_method::post,
                                   .url = server.url("/echo"),
                                   .body = std::string(size, 'b'),
                                   .coding = coding});
      CHECK(response.body == std::string(size, 'b'));
    }
  }
  CHECK(client.statistics().connections <= 2);  // send_error closes
}

TEST_CASE("sixteen connections to Python's http.server carry a thousand requests") {
  python_server server;
  if (!server.running()) MILLRACE_SKIP("no python3; install the package 'python3'");
  testing::asio_environment env;
  net::http_client client(env);
  int good = 0;
  int done = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto body = std::to_string(i * 7919);
    client.send({.method = net::http_method::post, .url = server.url("/echo"), .body = body},
                [&, body](result<http_response> r) {
                  ++done;
                  good += r && r->body == body ? 1 : 0;
                });
  }
  REQUIRE(env.run_until([&] { return done == 1000; }, std::chrono::seconds{30}));
  CHECK(good == 1000);
  CHECK(client.statistics().connections == 16);
}
