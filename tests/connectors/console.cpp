// SPDX-License-Identifier: Apache-2.0
#include <millrace/connectors/console.hpp>

#include <millrace/codec/text.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/fake_sink_context.hpp"
#include "support/temporary_directory.hpp"

#include <cstdio>
#include <memory>
#include <string>

using namespace millrace;
using millrace::testing::asio_environment;
using millrace::testing::fake_sink_context;
using millrace::testing::temporary_directory;

namespace {

using stream = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

stream open_file(const std::string& path, const char* mode) {
  return {std::fopen(path.c_str(), mode), &std::fclose};
}

}  // namespace

TEST_CASE("a console sink prints the lines of a batch when the batch is over") {
  const temporary_directory dir;
  const auto out = open_file(dir.file("out"), "w");
  asio_environment env;
  fake_sink_context context{env};
  const auto sink =
      console::sink{{.stream = out.get(), .prefix = "> "}, [](int v, timestamp t) {
                      return std::to_string(v) + "@" + std::to_string(t.time_since_epoch().count());
                    }};
  static_assert(sink_for<decltype(sink), int>);
  auto writer = sink.open(context);
  writer.write(1, timestamp{duration{5}});
  writer.write(2, timestamp{duration{6}});
  CHECK(dir.read("out").empty());
  writer.batch_end();
  CHECK(dir.read("out") == "> 1@5\n> 2@6\n");
  writer.write(3, timestamp{duration{7}});
  writer.end();
  CHECK(dir.read("out") == "> 1@5\n> 2@6\n> 3@7\n");
  CHECK(context.times_done == 1);
  CHECK(context.metric("records") == 3);
}

TEST_CASE("a console sink prints JSON unless told otherwise, and in between when there is a lot") {
  const temporary_directory dir;
  const auto out = open_file(dir.file("out"), "w");
  asio_environment env;
  fake_sink_context context{env};
  auto writer = console::sink{{.stream = out.get(), .flush_bytes = 8}}.open(context);
  writer.write(std::string("ab"), {});
  CHECK(dir.read("out").empty());
  writer.write(std::string("cd"), {});
  CHECK(dir.read("out") == "\"ab\"\n\"cd\"\n");
  [[maybe_unused]] const auto to_standard_output = console::sink{};
  [[maybe_unused]] const auto by_function = console::sink{[](int v) { return std::to_string(v); }};
  static_assert(sink_for<decltype(by_function), int>);
  static_assert(
      std::same_as<decltype(console::sink{millrace::plain_text}), console::sink<text_codec>>);
}

TEST_CASE("an encoder that throws leaves no half line, a stream that fails fails the pipeline") {
  const temporary_directory dir;
  asio_environment env;
  const auto throwing = [](int v, std::string& out) {
    out += "v";
    if (v == 0) throw std::runtime_error("no");
  };
  {
    const auto out = open_file(dir.file("out"), "w");
    fake_sink_context context{env};
    auto writer = console::sink{{.stream = out.get()}, throwing}.open(context);
    writer.write(1, {});
    CHECK_THROWS(writer.write(0, {}));
    writer.end();
  }
  CHECK(dir.read("out") == "v\n");

  const auto full = open_file("/dev/full", "w");
  fake_sink_context context{env};
  auto writer = console::sink{{.stream = full.get()}, throwing}.open(context);
  writer.write(1, {});
  writer.end();
  REQUIRE(context.failure);
  CHECK(context.failure->code == std::errc::no_space_on_device);
  CHECK(context.times_done == 0);
}
