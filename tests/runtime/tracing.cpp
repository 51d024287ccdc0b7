// SPDX-License-Identifier: Apache-2.0
// Tracing with real threads and a real file.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include "catch.hpp"
#include "support/temporary_directory.hpp"
#include "support/trace_file.hpp"

#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using testing::trace_file;

namespace {

std::string content(const std::string& path) {
  auto read = read_file(posix_file_system(), path, std::uint64_t{1} << 30);
  REQUIRE(read);
  return *read;
}

}  // namespace

TEST_CASE("slices of a worker nest, and arrows cross workers forwards") {
  const testing::temporary_directory directory;
  const std::string path = directory.path() + "/trace.json";
  for (const std::size_t workers : {1u, 3u}) {
    CAPTURE(workers);
    pipeline p("threads");
    p.parallelism(workers).trace_to({.file = path, .every = 1us, .most_per_second = 100});
    memory::queue<int> in;
    memory::sink<int> out;
    p.source("in", in)
        .key_by([](int i) { return i % 7; })
        .map([](int i) { return i * 2; })
        .to("out", out);
    p.start();
    for (int i = 0; i < 20'000; ++i) {
      in.push(i);
      if (i % 500 == 0) std::this_thread::sleep_for(1ms);
    }
    in.close();
    p.wait();
    CHECK(out.values().size() == 20'000);
    const trace_file trace(content(path));
    CHECK(trace.threads().size() == workers);
    const auto status = p.status().trace;
    CHECK(status.records >= 1);
    CHECK(status.lost == 0);
    REQUIRE(trace.traces().size() == status.records);
    for (const auto& id : trace.traces()) {
      const auto steps = trace.path(id);
      CHECK(steps.front().name == "in");
      CHECK(steps.back().name == "out");
    }
    if (workers > 1) CHECK(trace.with("s", "flow").size() >= 2 * status.records);
    CHECK_FALSE(trace.with("X", "batch").empty());
  }
}

TEST_CASE("without all batches only work on sampled records is drawn") {
  const testing::temporary_directory directory;
  const std::string path = directory.path() + "/trace.json";
  pipeline p("few");
  p.trace_to({.file = path, .every = 1h, .detail = trace_detail::sampled_records});
  memory::queue<int> in;
  memory::sink<int> out;
  p.source("in", in).map([](int i) { return i * 2; }).to("out", out);
  p.start();
  for (int i = 0; i < 1'000; ++i) in.push(i);
  in.close();
  p.wait();
  const trace_file trace(content(path));
  CHECK(trace.with("X", "batch").empty());
  CHECK(trace.with("X", "record").size() == 3);
}

TEST_CASE("a name of any bytes is valid JSON in the file") {
  const testing::temporary_directory directory;
  const std::string path = directory.path() + "/trace.json";
  pipeline p("quotes \" and \\ and \x01 and \xff");
  p.trace_to({.file = path, .every = 1h});
  memory::queue<int> in;
  memory::sink<int> out;
  p.source("in \"\n", in).to("out", out);
  p.start();
  in.push(1);
  in.close();
  p.wait();
  const trace_file trace(content(path));
  REQUIRE(trace.traces().size() == 1);
  CHECK(trace.path(trace.traces()[0]).front().name == "in \"\n");
}
