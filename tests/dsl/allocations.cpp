// SPDX-License-Identifier: Apache-2.0
// In the steady state a record costs no allocation. Counted per thread, by replacing operator new
// in this executable: from the middle of a run, when all memory has been taken, to its last poll.

#include <millrace/base/config.hpp>
#include <millrace/codec/json.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/record/message.hpp>
#include <millrace/windows/aggregates.hpp>

#include "catch.hpp"

#include <boost/describe/class.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace {

thread_local std::uint64_t allocations_here = 0;

[[maybe_unused]] void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations_here;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = alignment <= alignof(std::max_align_t) ? std::malloc(bytes == 0 ? 1 : bytes)
                                                        : std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// A sanitizer has an operator new of its own.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MILLRACE_TEST_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MILLRACE_TEST_SANITIZED
#endif

#if !defined(MILLRACE_TEST_SANITIZED)
// Not inlined: the compiler would see through to malloc and free, and warn of a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) { return counted(bytes, 1); }
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
#endif

using namespace millrace;
using namespace std::chrono_literals;

namespace {

struct reading {
  std::string station;
  double bikes = 0;
  timestamp at;
};
BOOST_DESCRIBE_STRUCT(reading, (), (station, bikes, at))

/// Emits the same values pass after pass, each pass `span` later. The second half is watched.
template <class T>
struct watched_source {
  using value_type = T;

  struct result {
    std::uint64_t in_steady_state = 0;
    std::uint64_t records = 0;
  };

  std::vector<T> values;
  duration span;
  std::size_t passes;
  std::shared_ptr<result> seen = std::make_shared<result>();

  struct reader {
    const watched_source& from;
    std::size_t pass = 0;
    std::size_t next = 0;
    std::uint64_t at_half = 0;

    poll_status poll(source_output<T>& out) {
      if (pass == from.passes / 2 && next == 0) at_half = allocations_here;
      const timestamp later{from.span * static_cast<std::int64_t>(pass)};
      for (; next < from.values.size() && out.room() > 0; ++next) {
        T value = from.values[next];
        if constexpr (requires { value.received; }) value.received = later;
        out.emit(std::move(value), later);
        if (pass >= from.passes / 2) ++from.seen->records;
      }
      if (next == from.values.size()) {
        next = 0;
        ++pass;
      }
      if (pass < from.passes) return poll_status::more;
      from.seen->in_steady_state = allocations_here - at_half;
      return poll_status::end;
    }
  };

  reader open(source_context&) const { return {*this}; }
};

struct counting_sink {
  std::shared_ptr<std::uint64_t> bytes = std::make_shared<std::uint64_t>(0);

  struct writer {
    std::uint64_t& bytes;
    std::string line;
    template <class T>
    void write(const T& value, timestamp) {
      line.clear();
      if constexpr (requires { value.key; }) {
        line += value.key;
      } else {
        line += std::to_string(value);
      }
      bytes += line.size();
    }
  };

  writer open(sink_context&) const { return {*bytes, std::string(64, ' ')}; }
};

constexpr int stations = 300;
constexpr int records = 20'000;
constexpr duration between{100};

std::string station_name(int i) {
  return "a station with a name too long for the string itself " + std::to_string(i % stations);
}
timestamp time_of(int i) { return timestamp{1'700'000'000s + between * i}; }

}  // namespace

TEST_CASE("a fused chain allocates nothing in the steady state") {
#if defined(MILLRACE_TEST_SANITIZED)
  MILLRACE_SKIP("the sanitizer has an operator new of its own");
#endif
  std::vector<int> numbers(records);
  for (int i = 0; i < records; ++i) numbers[static_cast<std::size_t>(i)] = i;
  const watched_source<int> source{numbers, between * records, 8};
  counting_sink out;
  pipeline p("chain");
  p.source("in", source)
      .map([](int i) { return i * 2; })
      .filter([](int i) { return i % 3 == 0; })
      .flat_map<int>([](int i, auto& emit) {
        emit(i);
        emit(i + 1);
      })
      .to("out", out);
  p.run();
  CHECK(source.seen->records == 4 * records);
  CHECK(source.seen->in_steady_state == 0);
}

TEST_CASE("JSON to windows per key to text allocates nothing per message in the steady state") {
#if defined(MILLRACE_TEST_SANITIZED)
  MILLRACE_SKIP("the sanitizer has an operator new of its own");
#endif
  std::vector<message> messages;
  for (int i = 0; i < records; ++i) {
    const auto milliseconds = time_of(i).time_since_epoch() / 1ms;
    messages.push_back(message::copy_of("bikes/status",
                                        R"({"id":)" + std::to_string(i) + R"(,"station":")" +
                                            station_name(i) + R"(","bikes":)" +
                                            std::to_string(i % 17) + R"(.5,"state":"open","at":)" +
                                            std::to_string(milliseconds) + "}",
                                        {}));
  }
  const watched_source<message> source{std::move(messages), between * records, 8};
  counting_sink out;
  pipeline p("reference");
  p.source("in", source)
      .decode<reading>(json.with({.timestamp_unit = json_time::milliseconds}),
                       [](const message& m, reading& r) { r.at += m.received.time_since_epoch(); })
      .event_time(&reading::at, bounded_lag{50ms})
      .key_by(&reading::station)
      .window(sliding{.size = 1s, .slide = 100ms})
      .aggregate("totals", compose(sum(&reading::bikes), max_of(&reading::bikes), count{}))
      .to("out", out);
  p.run();
  CHECK(source.seen->records == 4 * records);
  CHECK(*out.bytes > 0);
  CHECK(source.seen->in_steady_state == 0);
}

namespace {

/// Its time goes on from pass to pass; its key is short, because the source copies it.
struct passing_reading {
  std::string station;
  double bikes = 0;
  timestamp at;
  timestamp received;
};

}  // namespace

TEST_CASE("sessions, count windows and early results allocate nothing in the steady state") {
#if defined(MILLRACE_TEST_SANITIZED)
  MILLRACE_SKIP("the sanitizer has an operator new of its own");
#endif
  std::vector<passing_reading> values;
  for (int i = 0; i < records; ++i) {
    values.push_back({std::to_string(i % stations), i % 17 + 0.5, time_of(i), {}});
  }
  const watched_source<passing_reading> source{values, between * records, 8};
  counting_sink out;
  pipeline p("windows");
  auto keyed =
      p.source("in", source)
          .event_time([](const passing_reading& r) { return r.at + r.received.time_since_epoch(); },
                      bounded_lag{50ms})
          .key_by(&passing_reading::station);
  keyed.window(session{.gap = 1s}).aggregate("sessions", count{}).to("sessions out", out);
  keyed.window(count_window{.size = 10, .slide = 3})
      .aggregate("counts", sum(&passing_reading::bikes))
      .to("counts out", out);
  keyed.window(sliding{.size = 500ms, .slide = 100ms})
      .trigger(early(on_count{5}))
      .aggregate("early", sum(&passing_reading::bikes))
      .to("early out", out);
  p.run();
  CHECK(source.seen->records == 4 * records);
  CHECK(*out.bytes > 0);
  CHECK(source.seen->in_steady_state == 0);
}
