// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a benchmark is: the same piece of work done by several contestants (the library's first,
/// then the floor and peers), with goals for their ratios. Not thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bench {

/// What a run came to. Contestants of one benchmark must agree on `digest`, and on `near` to nine
/// digits.
struct outcome {
  std::uint64_t events = 0;
  std::uint64_t digest = 0;
  double near = 0;
  double figure = 0;  ///< if not 0, it takes the place of the time per event; the least counts
};

bool agree(const outcome& a, const outcome& b);

/// How large a run is. `small` workloads are for counting instructions under callgrind.
enum class scale { full, small };

struct contestant {
  std::string name;
  std::function<outcome(std::size_t passes)> run;
  std::size_t share = 1;  ///< does 1/share of the passes: for those that are far slower
};

/// What is measured in time: that of all threads together, or the wall clock's.
enum class clock_kind { processor, wall };

/// A goal for the ratio of the first contestant and another one.
struct goal {
  std::string number;   ///< of the target in docs/performance.md
  std::string against;  ///< name of the other contestant
  /// `time` and `instructions`: ours over its, at most `limit`; `speed` and
  /// `instructions_saved`: its over ours, at least `limit`.
  enum class of { time, speed, instructions, instructions_saved } measure = of::time;
  double limit = 0;
};

/// Whether the contestants do the same work, so that their results must agree.
enum class results { equal, different };

struct benchmark {
  std::string name;
  std::string what;
  clock_kind clock = clock_kind::processor;
  std::size_t passes = 1;  ///< of a timed run
  /// Instructions are counted at two numbers of passes; the slope between them leaves out what
  /// happens once. Both 0: not to be counted.
  std::size_t few = 0;
  std::size_t many = 0;
  std::vector<goal> goals{};
  std::vector<std::string> counted{"ours", "floor"};  ///< contestants to count instructions of
  results compare = results::equal;
  bool quick = true;  ///< whether `run.sh --quick` counts it, too
  /// Makes the contestants; data is made here, once.
  std::function<std::vector<contestant>(scale)> prepare{};
};

/// All benchmarks, in the order of the table.
std::vector<benchmark> all_benchmarks();

}  // namespace bench
