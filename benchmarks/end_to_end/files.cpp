// SPDX-License-Identifier: Apache-2.0
// The file sink against a batched writer by hand: a line of JSON per event, 64 KiB a write. Both
// write the same file. Prints a row.
#include "harness/process.hpp"
#include "harness/replay_source.hpp"
#include "harness/spread.hpp"

#include <millrace/connectors/file/sink.hpp>
#include <millrace/dsl/pipeline.hpp>

#include <charconv>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace bench {
namespace {

/// The line of an event, for both.
void append_line(const floors::event& e, std::string& out) {
  char digits[32];
  const auto number = [&](auto value) {
    out.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
  };
  out += R"({"key":)";
  number(e.key);
  out += R"(,"value":)";
  number(e.value);
  out += R"(,"time":)";
  number(e.time);
  out += '}';
}

void write_with_pipeline(const floors::event_block& block, std::size_t passes,
                         const std::string& path) {
  millrace::pipeline p{"files"};
  p.source("events", replay_source(block, passes))
      .to("lines",
          millrace::file::sink<decltype(&append_line)>(
              {.path = path, .existing = millrace::file::open_mode::truncate}, &append_line));
  p.run();
}

void write_by_hand(const floors::event_block& block, std::size_t passes, const std::string& path) {
  std::FILE* out = std::fopen(path.c_str(), "wb");
  if (out == nullptr) throw std::runtime_error("cannot write to " + path);
  std::setvbuf(out, nullptr, _IONBF, 0);
  std::string buffer;
  for (std::size_t p = 0; p < passes; ++p) {
    for (floors::event e : block.events) {
      e.time += static_cast<std::int64_t>(p) * block.span();
      append_line(e, buffer);
      buffer += '\n';
      if (buffer.size() < 64 * 1024) continue;
      std::fwrite(buffer.data(), 1, buffer.size(), out);
      buffer.clear();
    }
  }
  std::fwrite(buffer.data(), 1, buffer.size(), out);
  fsync(fileno(out));  // as the sink does when it closes
  std::fclose(out);
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void measure_files() {
  constexpr std::size_t passes = 40;
  const auto block = floors::make_events({});
  const auto folder =
      std::filesystem::temp_directory_path() / ("millrace-bench-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string paths[] = {(folder / "ours").string(), (folder / "raw").string()};
  std::vector<double> rates[2];
  for (int r = 0; r < 6; ++r) {
    for (std::size_t i = 0; i < 2; ++i) {
      const std::uint64_t before = processor_time();
      (i == 0 ? write_with_pipeline : write_by_hand)(block, passes, paths[i]);
      const auto took = static_cast<double>(processor_time() - before);
      if (r != 0)
        rates[i].push_back(static_cast<double>(block.events.size() * passes) * 1e9 / took);
    }
    if (r == 0 && contents(paths[0]) != contents(paths[1])) {
      throw std::runtime_error("the two files differ");
    }
  }
  std::filesystem::remove_all(folder);
  row r = compared("file_sink", "lines/CPU second", rates[0], "raw batched writer", rates[1]);
  print_row(with_target(r, "11", relation::at_least, 0.95));
}

}  // namespace
}  // namespace bench

int main() {
  try {
    bench::measure_files();
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}
