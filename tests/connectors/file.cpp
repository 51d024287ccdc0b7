// SPDX-License-Identifier: Apache-2.0
#include <millrace/connectors/file.hpp>

#include <millrace/codec/text.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/fake_sink_context.hpp"
#include "support/fake_source_context.hpp"
#include "support/temporary_directory.hpp"

#include <cerrno>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>

using namespace millrace;
using namespace std::chrono_literals;
using millrace::testing::asio_environment;
using millrace::testing::fake_sink_context;
using millrace::testing::fake_source_context;
using millrace::testing::temporary_directory;

namespace {

timestamp at(std::int64_t microseconds) { return timestamp{duration{microseconds}}; }

/// What a disk with troubles looks like; shared with the device of the sink under test.
struct disk {
  std::string content{};
  std::vector<std::string> finished{};
  std::error_code write_error{};  // with this, after `room` more bytes
  std::error_code rename_error{};
  std::error_code sync_error{};
  std::size_t room = std::string::npos;
  std::size_t chunk = std::string::npos;  // at most so much at once
  int syncs = 0;
};

class faulty_device : public file::device {
 public:
  explicit faulty_device(disk& d) : disk_(d) {}
  std::error_code open(const std::string&, file::open_mode mode) override {
    if (mode == file::open_mode::truncate) disk_.content.clear();
    return {};
  }
  result<std::uint64_t> size() override { return std::uint64_t{disk_.content.size()}; }
  int last_byte() override { return disk_.content.empty() ? -1 : disk_.content.back(); }
  result<std::size_t> write(std::string_view bytes) override {
    const auto n = std::min({bytes.size(), disk_.room, disk_.chunk});
    if (n == 0) return error{disk_.write_error, {}};
    if (disk_.room != std::string::npos) disk_.room -= n;
    disk_.content.append(bytes.substr(0, n));
    return n;
  }
  std::error_code truncate(std::uint64_t size) override {
    disk_.content.resize(size);
    return {};
  }
  std::error_code sync() override {
    ++disk_.syncs;
    return disk_.sync_error;
  }
  std::error_code close() noexcept override { return {}; }
  std::error_code rename(const std::string&, const std::string&) override {
    if (disk_.rename_error) return disk_.rename_error;
    disk_.finished.push_back(disk_.content);
    return {};
  }
  std::error_code remove(const std::string&) override { return {}; }
  std::uint64_t last_number(const std::string&) override { return 0; }

 private:
  disk& disk_;
};

file::sink_options on(disk& d) {
  file::sink_options options{.path = "out"};
  options.make_device = [&d] { return std::make_unique<faulty_device>(d); };
  return options;
}

struct line {
  std::string topic;
  std::string payload;
  timestamp time;
  friend bool operator==(const line&, const line&) = default;
};

/// Polls until the reader waits or ends.
poll_status drain(file::line_reader& reader, std::vector<line>& lines, std::size_t capacity = 7) {
  batch<message> target{capacity};
  while (true) {
    target.clear();
    source_output<message> out{target};
    const auto status = reader.poll(out);
    for (std::size_t i = 0; i < target.size(); ++i) {
      const message& m = target.value(i);
      lines.push_back({std::string(m.topic), std::string(m.payload), target.time(i)});
    }
    if (status != poll_status::more) return status;
  }
}

std::vector<std::string> payloads(const std::vector<line>& lines) {
  std::vector<std::string> all;
  for (const auto& l : lines) all.push_back(l.payload);
  return all;
}

}  // namespace

TEST_CASE("a file sink writes one line per record and appends to what is there") {
  const temporary_directory dir;
  dir.write("out.txt", "first\n");
  asio_environment env;
  fake_sink_context context{env};
  const auto sink = file::sink{{.path = dir.file("out.txt")}, millrace::plain_text};
  static_assert(sink_for<decltype(sink), std::string>);
  {
    auto writer = sink.open(context);
    writer.write(std::string("a"), at(1));
    writer.write(std::string("b"), at(2));
    CHECK(dir.read("out.txt") == "first\n");
    writer.end();
  }
  CHECK(context.times_done == 1);
  CHECK(dir.read("out.txt") == "first\na\nb\n");
  CHECK(context.metric("records") == 2);
  CHECK(env.pending_timers() == 0);
}

TEST_CASE("a file sink writes JSON lines by default, and what a function makes of a record") {
  const temporary_directory dir;
  asio_environment env;
  fake_sink_context context{env};
  {
    auto writer = file::sink{{.path = dir.file("a")}}.open(context);
    writer.write(std::string("x\ny"), at(1));
    writer.end();
    auto second = file::sink{
        {.path = dir.file("b")}, [](int v, timestamp t) {
          return std::to_string(v) + "@" + std::to_string(t.time_since_epoch().count());
        }}.open(context);
    second.write(5, at(7));
    second.end();
    auto third = file::sink{
        {.path = dir.file("c")}, [](int v, std::string& out) {
          out += char('a' + v);
        }}.open(context);
    third.write(2, at(7));
    third.end();
  }
  CHECK(dir.read("a") == "\"x\\ny\"\n");
  CHECK(dir.read("b") == "5@7\n");
  CHECK(dir.read("c") == "c\n");
}

TEST_CASE("a file sink flushes by size and by age, and what is left when it is destroyed") {
  const temporary_directory dir;
  asio_environment env;
  fake_sink_context context{env};
  const auto sink = file::sink{{.path = dir.file("out"), .flush_bytes = 10, .flush_after = 20ms},
                               millrace::plain_text};
  {
    auto writer = sink.open(context);
    writer.write(std::string("12345678"), at(1));
    CHECK(dir.read("out").empty());
    writer.write(std::string("9"), at(1));
    CHECK(dir.read("out") == "12345678\n9\n");
    writer.write(std::string("x"), at(1));
    CHECK(env.run_until([&] { return dir.read("out") == "12345678\n9\nx\n"; }));
    writer.write(std::string("y"), at(1));
  }
  CHECK(dir.read("out") == "12345678\n9\nx\ny\n");
  CHECK(env.pending_timers() == 0);
}

TEST_CASE("a torn last line of a crash is not glued to the next record") {
  const temporary_directory dir;
  dir.write("out", "whole\nto");
  asio_environment env;
  fake_sink_context context{env};
  auto writer = file::sink{{.path = dir.file("out")}, millrace::plain_text}.open(context);
  writer.write(std::string("next"), at(1));
  writer.end();
  CHECK(dir.read("out") == "whole\nto\nnext\n");
}

TEST_CASE("a record with a line feed, and a record whose encoder throws, leave no trace") {
  const temporary_directory dir;
  asio_environment env;
  fake_sink_context context{env};
  auto writer = file::sink{
      {.path = dir.file("out")}, [](const std::string& v, std::string& out) {
        out += v;
        if (v == "bad") throw std::runtime_error("no");
      }}.open(context);
  writer.write(std::string("good"), at(1));
  CHECK_THROWS(writer.write(std::string("bad"), at(1)));
  writer.write(std::string("two\nlines"), at(3));
  writer.end();
  CHECK(dir.read("out") == "good\n");
  REQUIRE(context.letters.size() == 1);
  CHECK(context.letters[0].payload == "two\nlines");
  CHECK(context.letters[0].time == at(3));
}

TEST_CASE("a file is rotated behind the line that reaches the size, and old ones go") {
  const temporary_directory dir;
  dir.write("out.000041", "old\n");
  asio_environment env;
  fake_sink_context context{env};
  auto writer =
      file::sink{{.path = dir.file("out"), .rotate_bytes = 8, .keep = 2}, millrace::plain_text}
          .open(context);
  for (const char* text : {"1111", "2222", "3333", "44444444", "5", "6666666", "7"}) {
    writer.write(std::string(text), at(1));
  }
  writer.end();
  CHECK_FALSE(dir.exists("out.000041"));
  CHECK_FALSE(dir.exists("out.000042"));
  CHECK(dir.read("out.000043") == "3333\n44444444\n");
  CHECK(dir.read("out.000044") == "5\n6666666\n");
  CHECK(dir.read("out") == "7\n");
  CHECK(context.metric("rotations") == 3);
}

TEST_CASE("a file is rotated by time, but not while it is empty") {
  const temporary_directory dir;
  asio_environment env;
  fake_sink_context context{env};
  {
    auto writer =
        file::sink{{.path = dir.file("out"), .rotate_every = 20ms}, millrace::plain_text}.open(
            context);
    env.run_for(50ms);
    CHECK_FALSE(dir.exists("out.000001"));
    writer.write(std::string("a"), at(1));
    CHECK(env.run_until([&] { return dir.read("out.000001") == "a\n"; }));
    writer.end();
  }
  CHECK(dir.read("out").empty());
  CHECK(env.pending_timers() == 0);
}

TEST_CASE("a full disk fails the pipeline with the reason, and the file ends with a whole line") {
  disk d{.write_error = std::make_error_code(std::errc::no_space_on_device), .room = 13};
  asio_environment env;
  fake_sink_context context{env};
  auto writer = file::sink{on(d), millrace::plain_text}.open(context);
  for (const char* text : {"11111", "22222", "33333"}) writer.write(std::string(text), at(1));
  writer.end();
  REQUIRE(context.failure);
  CHECK(context.failure->code == std::errc::no_space_on_device);
  CHECK(context.failure->message == "cannot write to out");
  CHECK(d.content == "11111\n22222\n");
  CHECK(context.times_done == 0);
}

TEST_CASE("the real device says that a disk is full") {
  asio_environment env;
  fake_sink_context context{env};
  auto writer = file::sink{{.path = "/dev/full"}, millrace::plain_text}.open(context);
  writer.write(std::string("a"), at(1));
  writer.end();
  REQUIRE(context.failure);
  CHECK(context.failure->code == std::errc::no_space_on_device);
}

TEST_CASE("a disk that is full for a while is back-pressure when asked, and no byte is lost") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  disk d{.write_error = std::make_error_code(std::errc::io_error), .room = 0};
  asio_environment env;
  fake_sink_context context{env};
  auto options = on(d);
  options.on_error = file::on_write_error::wait;
  options.retry_every = 1ms;
  options.flush_bytes = 64;
  options.rotate_bytes = 500;
  auto writer = file::sink{options, millrace::plain_text}.open(context);
  std::string expected;
  for (int i = 0; i < 500; ++i) {
    const auto text = "record " + std::to_string(i) + std::string(random() % 20, '.');
    expected += text + "\n";
    writer.write(text, at(i));
    if (context.blocked) {
      d.chunk = 1 + random() % 40;
      d.room = random() % 3 == 0 ? 0 : 1 + random() % 200;
      d.rename_error = random() % 3 == 0 ? d.write_error : std::error_code{};
      if (random() % 2 == 0) env.run_for(2ms);
    }
  }
  CHECK(context.times_blocked > 0);
  writer.end();
  d.room = std::string::npos;
  d.rename_error = {};
  CHECK(env.run_until([&] { return context.times_done == 1; }));
  CHECK_FALSE(context.failure);
  CHECK_FALSE(context.blocked);
  std::string all;
  for (const auto& f : d.finished) {
    CHECK(f.ends_with('\n'));
    all += f;
  }
  CHECK(all + d.content == expected);
  CHECK(d.finished.size() > 5);
}

TEST_CASE("a file sink forces bytes to the medium as its policy says") {
  asio_environment env;
  for (const auto& [policy, expected] :
       {std::pair{file::sync_policy::never, 0}, std::pair{file::sync_policy::on_close, 1},
        std::pair{file::sync_policy::on_flush, 4}}) {
    disk d;
    fake_sink_context context{env};
    auto options = on(d);
    options.sync = policy;
    options.flush_bytes = 1;
    auto writer = file::sink{options, millrace::plain_text}.open(context);
    for (int i = 0; i < 3; ++i) writer.write(std::string("x"), at(i));
    writer.end();
    CHECK(d.syncs == expected);
    CHECK(context.times_done == 1);
  }
}

TEST_CASE("a sync that fails is never tried again: the pipeline fails") {
  asio_environment env;
  disk d{.sync_error = std::make_error_code(std::errc::io_error)};
  fake_sink_context context{env};
  auto options = on(d);
  options.sync = file::sync_policy::on_flush;
  options.on_error = file::on_write_error::wait;
  auto writer = file::sink{options, millrace::plain_text}.open(context);
  writer.write(std::string("x"), at(1));
  writer.end();
  REQUIRE(context.failure);
  CHECK(context.times_done == 0);
  CHECK(d.syncs == 1);
}

TEST_CASE("a file sink without a path, or with one that cannot be opened, says so") {
  asio_environment env;
  fake_sink_context context{env, "log"};
  CHECK_THROWS_WITH(file::sink{{}}.open(context), "log: file::sink needs a path");
  auto writer = file::sink{{.path = "/nowhere/at/all"}}.open(context);
  REQUIRE(context.failure);
  CHECK(context.failure->to_string() == "cannot open /nowhere/at/all: No such file or directory");
}

TEST_CASE("lines of any length arrive whole, with any block size and any batch size") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const temporary_directory dir;
  asio_environment env;
  for (int round = 0; round < 60; ++round) {
    std::string content;
    std::vector<std::string> expected;
    std::size_t too_long = 0;
    const auto count = random() % 60;
    for (unsigned i = 0; i < count; ++i) {
      std::string text(random() % (random() % 8 == 0 ? 300 : 30), char('a' + random() % 26));
      content += text;
      if (random() % 5 == 0 && text.size() < 150) content += '\r';
      if (i + 1 < count || random() % 2 == 0) content += '\n';
      if (text.size() > 200) {
        ++too_long;
      } else if (!text.empty()) {
        expected.push_back(text);
      }
    }
    const auto path = dir.write("in", content);
    fake_source_context context{env};
    auto reader =
        file::source{{.path = path, .block_bytes = 1 + random() % 100, .max_line = 200}}.open(
            context);
    std::vector<line> lines;
    REQUIRE(drain(reader, lines, 1 + random() % 10) == poll_status::end);
    REQUIRE(payloads(lines) == expected);
    REQUIRE(context.letters.size() == too_long);
    for (const auto& l : lines) REQUIRE(l.topic == path);
    REQUIRE(reader.offset() == content.size());
  }
}

TEST_CASE("messages keep their bytes after the reader has gone on") {
  const temporary_directory dir;
  std::string content;
  for (int i = 0; i < 1000; ++i) content += "line " + std::to_string(i) + "\n";
  const auto path = dir.write("in", content);
  asio_environment env;
  fake_source_context context{env};
  batch<message> all{1000};
  {
    auto reader = file::source{{.path = path, .block_bytes = 64}}.open(context);
    source_output<message> out{all};
    CHECK(reader.poll(out) == poll_status::more);
  }
  for (int i = 0; i < 1000; ++i) {
    const auto& m = all.value(static_cast<std::size_t>(i));
    REQUIRE(m.payload == "line " + std::to_string(i));
    REQUIRE(m.topic == path);
  }
}

TEST_CASE("a recording gives every message its time and topic, other lines are dead letters") {
  const temporary_directory dir;
  const auto path = dir.write("in",
                              "\xEF\xBB\xBF"
                              "1725235773\ta/b\t{\"x\":\t1}\n"
                              "1.5\ta\t\n"
                              "-0.000001\tb\tp\r\n"
                              "\n"
                              "soon\ta\tp\n"
                              "5\tno payload\n"
                              "1.2345678\tc\tq");
  asio_environment env;
  fake_source_context context{env};
  auto reader =
      file::source{{.path = path, .layout = file::layout::time_topic_payload}}.open(context);
  std::vector<line> lines;
  CHECK(drain(reader, lines) == poll_status::end);
  CHECK(lines == std::vector<line>{{"a/b", "{\"x\":\t1}", at(1725235773000000)},
                                   {"a", "", at(1500000)},
                                   {"b", "p", at(-1)},
                                   {"c", "q", at(1234567)}});
  REQUIRE(context.letters.size() == 2);
  CHECK(context.letters[0].payload == "soon\ta\tp");
  CHECK(context.letters[1].reason == "line without a TAB between topic and payload");
}

TEST_CASE("a followed file may grow, be renamed, be truncated, and appear late") {
  const temporary_directory dir;
  const auto path = dir.file("in");
  asio_environment env;
  fake_source_context context{env};
  auto reader =
      file::source{
          {.path = path, .at_end = file::at_end::follow, .look_every = 1ms, .block_bytes = 16}}
          .open(context);
  std::vector<line> lines;
  const auto expect = [&](std::vector<std::string> expected) {
    const auto arrived = [&] {
      if (context.wakes.exchange(0) != 0) drain(reader, lines);
      return payloads(lines) == expected;
    };
    const bool ok = env.run_until(arrived, 5s);
    CHECK(payloads(lines) == expected);
    return ok;
  };
  const auto append = [&](const char* text) {
    std::FILE* f = std::fopen(path.c_str(), "a");
    std::fputs(text, f);
    std::fclose(f);
  };
  CHECK(drain(reader, lines) == poll_status::wait);
  append("one\ntw");
  REQUIRE(expect({"one"}));
  append("o\n");
  REQUIRE(expect({"one", "two"}));
  append("half");
  env.run_for(5ms);
  std::rename(path.c_str(), dir.file("in.1").c_str());
  append("three\n");
  REQUIRE(expect({"one", "two", "half", "three"}));
  dir.write("in", "4\n");
  REQUIRE(expect({"one", "two", "half", "three", "4"}));
  CHECK_FALSE(context.failure);
  reader.stop();
  CHECK(context.wakes > 0);
  CHECK(drain(reader, lines) == poll_status::end);
}

TEST_CASE("a file source goes on at the position it saved") {
  const temporary_directory dir;
  std::string content;
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) {
    expected.push_back("line " + std::to_string(i));
    content += expected.back() + (i % 3 == 0 ? "\r\n" : "\n");
  }
  const auto path = dir.write("in", content);
  asio_environment env;
  fake_source_context context{env};
  for (std::size_t split = 1; split < 50; ++split) {
    std::vector<line> lines;
    std::uint64_t position = 0;
    {
      auto first = file::source{{.path = path, .block_bytes = 37}}.open(context);
      batch<message> target{split};
      source_output<message> out{target};
      first.poll(out);
      for (std::size_t i = 0; i < target.size(); ++i) {
        lines.push_back({{}, std::string(target.value(i).payload), {}});
      }
      position = first.offset();
    }
    auto second = file::source{{.path = path, .block_bytes = 41}}.open(context);
    second.seek(position);
    drain(second, lines);
    REQUIRE(payloads(lines) == expected);
  }
}

TEST_CASE("a path that is no readable file fails the pipeline with the reason") {
  const temporary_directory dir;
  asio_environment env;
  fake_source_context missing{env};
  auto reader = file::source{{.path = dir.file("none")}}.open(missing);
  REQUIRE(missing.failure);
  CHECK(missing.failure->to_string() ==
        "cannot open " + dir.file("none") + ": No such file or directory");
  fake_source_context folder{env};
  auto second = file::source{{.path = dir.path()}}.open(folder);
  std::vector<line> lines;
  CHECK(drain(second, lines) == poll_status::wait);
  REQUIRE(folder.failure);
  CHECK(folder.failure->code == std::errc::is_a_directory);
  CHECK_THROWS_AS(file::source{{}}.open(folder), topology_error);
}
