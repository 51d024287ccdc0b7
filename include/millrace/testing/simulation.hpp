// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs a pipeline in virtual time on the caller's thread: clocks stand still until told, workers
/// take turns in an order drawn from a seed. The same seed gives the same run. Single-threaded.
///
///     testing::simulation sim({.workers = 2, .seed = 7});
///     pipeline p("test");  ...;  p.start(sim);
///     sim.advance(30s);    // fires what is due on the way
///     p.stop();  sim.run_to_end();
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/runtime/drivers.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace millrace::testing {

struct simulation_options {
  std::size_t workers = 1;
  std::uint64_t seed = 1;
  timestamp start{std::chrono::seconds{1'700'000'000}};  ///< the wall clock at first
  logger log{};
};

class simulation final : public driver {
 public:
  explicit simulation(simulation_options options = {});
  ~simulation() override;

  std::vector<worker_seat> seats() override;
  void start(execution& work, std::function<void()> on_end) override;
  bool real_time() const noexcept override { return false; }
  bool renew(std::chrono::nanoseconds delay) override;

  /// Runs to the end; time jumps to the next timer whenever nothing else is left to do.
  /// \throws std::logic_error when there is no timer either: the pipeline would wait for ever
  void join() override { run_to_end(); }
  void run_to_end();

  /// Lets the workers work until none has anything to do at the present time. Returns the steps.
  std::size_t run_until_idle();

  /// Lets `d` pass, timer by timer.
  void advance(std::chrono::nanoseconds d);

  /// Moves the wall clock alone, in either direction.
  void jump_wall_clock(duration d);

  /// One step of a worker drawn by the seed. False when a whole round had nothing to do.
  bool step();

  timestamp now() const;
  bool ended() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace millrace::testing

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/testing/impl/simulation.ipp>
#endif
