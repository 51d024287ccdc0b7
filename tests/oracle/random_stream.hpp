// SPDX-License-Identifier: Apache-2.0
/// \file
/// Random inputs for the differential tests: keys, disorder, late records, equal, negative and
/// extreme times, bursts, idle inputs. The same seed gives the same input everywhere.
///
///     oracle::for_each_case(2'000, [](oracle::random_source& random) {
///       auto script = oracle::random_script<1>(random, oracle::random_shape(random));
///       ...
///     });
///
/// MILLRACE_CASES multiplies the number of cases (a long run), MILLRACE_SEED runs the one case that
/// a failure named.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/testing/operator_harness.hpp>

#include "catch.hpp"

#include <boost/describe.hpp>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace oracle {

/// Draws numbers the same way on every platform (std::uniform_int_distribution does not).
class random_source {
 public:
  explicit random_source(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t bits() { return engine_(); }
  /// 0 to n - 1.
  std::int64_t below(std::int64_t n) {
    return n <= 1 ? 0 : static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(n));
  }
  /// `least` to `greatest`, both included.
  std::int64_t between(std::int64_t least, std::int64_t greatest) {
    return least + below(greatest - least + 1);
  }
  bool one_in(std::int64_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

/// Runs `body(random)` for `count` seeds; a failure names the seed.
template <class F>
void for_each_case(std::uint64_t count, F body) {
  const auto run = [&](std::uint64_t seed) {
    INFO("one case again: MILLRACE_SEED=" << seed);
    random_source random(seed);
    body(random);
  };
  if (const char* only = std::getenv("MILLRACE_SEED")) return run(std::strtoull(only, nullptr, 10));
  const char* factor = std::getenv("MILLRACE_CASES");
  count *= factor == nullptr ? 1 : std::strtoull(factor, nullptr, 10);
  std::random_device device;
  const std::uint64_t first = (std::uint64_t{device()} << 32) | device();
  for (std::uint64_t i = 0; i < count; ++i) run(first + i);
}

/// A record of the differential tests. `id` is its place in the input, so that records differ.
struct event {
  int key = 0;
  std::int64_t time = 0;  ///< ticks
  int value = 0;
  int id = 0;
  friend bool operator==(const event&, const event&) = default;
};
// Here, so that every file of a program sees the same type as one that can be saved.
BOOST_DESCRIBE_STRUCT(event, (), (key, time, value, id))

inline millrace::timestamp at(std::int64_t ticks) {
  return millrace::timestamp{millrace::duration{ticks}};
}

struct stream_shape {
  int records = 60;
  int keys = 4;
  std::int64_t start = 0;
  std::int64_t step = 5;       ///< the clock of the devices moves by 0 to this between records
  std::int64_t disorder = 20;  ///< a record is older than the clock by 0 to this
  std::int64_t lag = 20;       ///< the watermark stays this far behind: less than disorder is late
  int watermark_every = 4;     ///< records, on average
  bool idle = false;           ///< inputs fall silent now and then
};

inline stream_shape random_shape(random_source& random) {
  stream_shape s;
  s.records = static_cast<int>(random.between(0, 80));
  s.keys = static_cast<int>(random.between(1, 6));
  constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
  switch (random.below(8)) {
    case 0: s.start = -300; break;
    case 1: s.start = -far + 2'000; break;  // windows that begin before time
    case 2: s.start = far - 2'000; break;   // and that end behind it
    default: s.start = random.between(-50, 1'000);
  }
  s.step = random.one_in(5) ? 0 : random.between(1, 12);
  s.disorder = random.one_in(3) ? 0 : random.between(1, 60);
  s.lag = random.one_in(3) ? 0 : random.between(0, 80);
  s.watermark_every = static_cast<int>(random.between(1, 12));
  s.idle = random.one_in(4);
  return s;
}

/// Sums that stop at the ends of time.
inline std::int64_t plus(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<std::int64_t>::max()
               : std::numeric_limits<std::int64_t>::min();
}

template <std::size_t>
using always_event = event;

template <class Sequence>
struct script_of;
template <std::size_t... I>
struct script_of<std::index_sequence<I...>> {
  using type = millrace::testing::script_step<always_event<I>...>;
};
/// A step of a script for an operator with `Inputs` inputs of `event`.
template <std::size_t Inputs>
using script = std::vector<typename script_of<std::make_index_sequence<Inputs>>::type>;

/// Records in their order of arrival, watermarks (monotone per input), silences, and the end of
/// every input (a watermark at the end of time, then `control::end`).
template <std::size_t Inputs>
script<Inputs> random_script(random_source& random, const stream_shape& shape) {
  using step = typename script<Inputs>::value_type;
  using content = decltype(step::what);
  using millrace::control;
  static_assert(Inputs == 1 || Inputs == 2);
  script<Inputs> out;
  std::array<std::int64_t, Inputs> clock{};
  std::array<std::int64_t, Inputs> watermark{};
  std::array<bool, Inputs> idle{};
  clock.fill(shape.start);
  watermark.fill(std::numeric_limits<std::int64_t>::min());
  const auto say = [&](std::size_t input, control c) { out.push_back(step{input, c}); };
  const auto record = [&](std::size_t input) {
    if (std::exchange(idle[input], false)) say(input, control::active());
    clock[input] = plus(clock[input], random.between(0, shape.step));
    event e{static_cast<int>(random.below(shape.keys)),
            plus(clock[input], -random.between(0, shape.disorder)),
            static_cast<int>(random.between(-20, 100)), static_cast<int>(out.size())};
    const millrace::testing::emitted<event> value{e, at(e.time)};
    if constexpr (Inputs == 1) {
      out.push_back(step{0, value});
    } else if (input == 0) {
      out.push_back(step{0, content(std::in_place_index<1>, value)});
    } else {
      out.push_back(step{1, content(std::in_place_index<2>, value)});
    }
  };
  for (int i = 0; i < shape.records; ++i) {
    const auto input = static_cast<std::size_t>(random.below(Inputs));
    if (shape.idle && random.one_in(12) && !idle[input]) {
      idle[input] = true;
      say(input, control::idle());
      continue;
    }
    record(input);
    if (random.one_in(30)) clock[input] = plus(clock[input], shape.step * 20);  // a gap
    if (random.one_in(shape.watermark_every)) {
      const auto next = plus(plus(clock[input], -shape.lag), -1);
      if (next > watermark[input]) {
        watermark[input] = next;
        say(input, control::watermark(at(next)));
      }
    }
  }
  for (std::size_t input = 0; input < Inputs; ++input) {
    if (idle[input]) say(input, control::active());
    say(input, control::watermark(millrace::max_timestamp));
    say(input, control::end());
  }
  return out;
}

}  // namespace oracle
