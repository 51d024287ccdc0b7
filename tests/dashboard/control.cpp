// SPDX-License-Identifier: Apache-2.0
// What a dashboard with a token can do to a running pipeline: a savepoint on a real disk, and the
// end. From the savepoint another pipeline goes on.

#include <millrace/dashboard/dashboard.hpp>
#include <millrace/millrace.hpp>
#include <millrace/runtime/checkpoint_directory.hpp>

#include "catch.hpp"
#include "support/raw_client.hpp"
#include "support/temporary_directory.hpp"

#include <boost/describe.hpp>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using testing::body_of;
using testing::get_request;
using testing::raw_client;
using testing::status_of;

namespace {

constexpr const char* token = "the token of this test";

/// Counts up from 1, slowly enough to be watched; its position is saved.
struct endless {
  using value_type = std::int64_t;

  struct reader {
    std::int64_t next = 1;
    bool stopped = false;
    poll_status poll(source_output<std::int64_t>& out) {
      if (stopped) return poll_status::end;
      out.emit(next++, timestamp{});
      std::this_thread::yield();
      return poll_status::more;
    }
    void stop() { stopped = true; }
    void save(snapshot_writer& to) const { to.number(next); }
    void restore(snapshot_reader& from) { next = from.number<std::int64_t>(); }
  };
  reader open(source_context&) const { return {}; }
};

struct sum_state {
  std::int64_t sum = 0;
};
BOOST_DESCRIBE_STRUCT(sum_state, (), (sum))

/// Emits (number, sum of all up to it): right if it is n (n + 1) / 2.
struct checked {
  std::atomic<std::int64_t> first{0};
  std::atomic<std::int64_t> last{0};
  std::atomic<bool> wrong{false};
};
using row = std::pair<std::int64_t, std::int64_t>;

struct check_sink {
  checked* to;
  struct writer {
    checked* to;
    void write(const row& r, timestamp) {
      if (to->first == 0) to->first = r.first;
      if (r.second != r.first * (r.first + 1) / 2) to->wrong = true;
      to->last = r.first;
    }
  };
  writer open(sink_context&) const { return {to}; }
};

void assemble(pipeline& p, checked& results) {
  p.source("numbers", endless{})
      .key_by([](const std::int64_t&) { return 0; })
      .process<row>("sum",
                    [](const std::int64_t& n, sum_state& s, auto& ctx) {
                      s.sum += n;
                      ctx.emit(row{n, s.sum});
                    })
      .to("results", check_sink{&results});
}

std::string ask(const dashboard& board, const std::string& request) {
  raw_client client(board.port());
  client.send(request);
  return client.read_response();
}

std::string post(const dashboard& board, const std::string& path, const std::string& shown) {
  return ask(board, "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n" +
                        (shown.empty() ? "" : "Authorization: Bearer " + shown + "\r\n") + "\r\n");
}

std::string status(const dashboard& board) {
  return body_of(ask(board, get_request("/status.json")));
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

std::shared_ptr<checkpoint_directory> directory(const std::string& path) {
  return std::make_shared<checkpoint_directory>(checkpoint_store_options{.directory = path});
}

/// Where the savepoint lies; empty when nothing was begun.
std::string make_savepoint(const dashboard& board) {
  const auto answer = post(board, "/savepoint", token);
  if (status_of(answer) != 202) return {};
  auto place = body_of(answer);
  place.pop_back();
  return place;
}

}  // namespace

TEST_CASE("with the token a savepoint is written, the pipeline is stopped, and another goes on") {
  const testing::temporary_directory disk;
  const dashboard_options options{
      .port = 0, .token = token, .savepoints = disk.file("saved"), .sample_every = 5ms};
  std::string place;
  {
    checked results;
    pipeline p("watched");
    assemble(p, results);
    p.checkpoint_to(directory(disk.file("state")), {.every = 50ms});
    p.start();
    dashboard board(p, options);
    REQUIRE(eventually([&] { return results.last > 1000; }));
    for (const char* path : {"/savepoint", "/stop"}) {
      CHECK(status_of(post(board, path, "")) == 401);
      CHECK(status_of(post(board, path, "the token of that test")) == 401);
    }
    CHECK_FALSE(std::filesystem::exists(disk.file("saved")));
    place = make_savepoint(board);
    REQUIRE_THAT(place, Catch::Matchers::StartsWith(disk.file("saved") + "/savepoint-"));
    REQUIRE(eventually(
        [&] { return status(board).find("\"saved_to\":\"" + place) != std::string::npos; }));
    CHECK_THAT(status(board), Contains("\"save_failure\":\"\""));
    const auto before = results.last.load();
    CHECK(eventually([&] { return results.last > before; }));  // it goes on
    CHECK_FALSE(p.ended());
    CHECK(status_of(post(board, "/stop", token)) == 202);
    p.wait();
    CHECK_FALSE(results.wrong);
    CHECK(results.first == 1);
    CHECK(status_of(post(board, "/savepoint", token)) == 503);
  }
  checked results;
  pipeline p("watched");
  assemble(p, results);
  p.checkpoint_to(directory(place), {.every = 1h});
  p.start();
  CHECK(eventually([&] { return results.last > 0; }));
  p.stop();
  p.wait();
  CHECK(results.first > 1);  // not from the start
  CHECK_FALSE(results.wrong);
}

TEST_CASE("without a token savepoint and stop are forbidden, though checkpoints are taken") {
  const testing::temporary_directory disk;
  checked results;
  pipeline p("watched");
  assemble(p, results);
  p.checkpoint_to(directory(disk.file("state")), {.every = 1h});
  p.start();
  {
    dashboard board(p, {.port = 0, .savepoints = disk.file("saved"), .sample_every = 5ms});
    CHECK(status_of(post(board, "/savepoint", token)) == 403);
    CHECK(status_of(post(board, "/stop", token)) == 403);
    CHECK(eventually([&] { return results.last > 100; }));
  }
  CHECK_FALSE(p.ended());
  CHECK_FALSE(std::filesystem::exists(disk.file("saved")));
  p.stop();
  p.wait();
}

TEST_CASE("a savepoint that cannot be written says why, and the pipeline goes on") {
  const testing::temporary_directory disk;
  disk.write("saved", "a file where a directory should be");
  checked results;
  pipeline p("watched");
  assemble(p, results);
  p.checkpoint_to(directory(disk.file("state")), {.every = 1h});
  p.start();
  {
    dashboard board(
        p, {.port = 0, .token = token, .savepoints = disk.file("saved"), .sample_every = 5ms});
    REQUIRE_FALSE(make_savepoint(board).empty());
    CHECK(eventually(
        [&] { return status(board).find("\"save_failure\":\"\"") == std::string::npos; }));
    CHECK_THAT(status(board), Contains("\"saved_to\":\"\""));
    CHECK_THAT(status(board), Contains("\"completed\":1"));
    const auto before = results.last.load();
    CHECK(eventually([&] { return results.last > before; }));
    CHECK(status_of(post(board, "/stop", token)) == 202);
    p.wait();
  }
  CHECK_FALSE(results.wrong);
}
