// SPDX-License-Identifier: Apache-2.0
/// \file
/// Checkpoints: consistent cuts of a running pipeline, taken by barriers that travel with the
/// records (docs/concepts/checkpoints.md). Here are what a checkpoint holds, where it is kept, and
/// the coordinator that asks for barriers and collects states.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/log.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/base/time.hpp>
#include <millrace/operators/subtask.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace millrace {

/// What one operator instance has saved.
struct operator_state {
  std::string name;
  std::uint32_t instance = 0;  ///< worker
  std::string bytes;
  /// What it owns of the keys; 0 to 0 when it is the only instance at any parallelism.
  key_group_range groups{0, 0};
  std::string type{};  ///< how the bytes are laid out (`subtask::state_type`); may be empty

  friend bool operator==(const operator_state&, const operator_state&) = default;
};

struct checkpoint {
  std::uint64_t id = 0;  ///< rising, never 0
  timestamp taken{};
  std::string pipeline;
  std::uint32_t workers = 1;
  std::vector<operator_state> states;                       ///< those that are not empty
  std::uint32_t max_parallelism = default_max_parallelism;  ///< key groups
};

/// Where checkpoints are kept. `store` may take long: it is not called on a worker.
class checkpoint_storage {
 public:
  virtual ~checkpoint_storage() = default;

  /// Durable when it returns. \throws std::exception when it could not be stored
  virtual void store(const checkpoint& what) = 0;

  /// The newest complete one. \throws std::exception when there is one that cannot be read
  virtual std::optional<checkpoint> newest() = 0;

  /// Copies the newest one into a directory of its own, where it stays. \throws std::exception
  virtual void save_newest(const std::string& directory);

  /// What it counts; from any thread.
  virtual std::vector<metric_group::reading> metrics() const { return {}; }
};

/// Keeps the newest in memory, for tests. Thread safe.
class memory_checkpoints final : public checkpoint_storage {
 public:
  void store(const checkpoint& what) override {
    const std::lock_guard lock(mutex_);
    newest_ = what;
  }
  std::optional<checkpoint> newest() override {
    const std::lock_guard lock(mutex_);
    return newest_;
  }

 private:
  std::mutex mutex_;
  std::optional<checkpoint> newest_;
};

struct checkpoint_options {
  /// From the completion of one to the start of the next.
  std::chrono::nanoseconds every = std::chrono::seconds{10};
};

/// What is known of the checkpoints of a run.
struct checkpoint_status {
  std::chrono::nanoseconds every{};      ///< as asked for; zero: none are taken
  std::uint64_t completed = 0;           ///< checkpoints
  std::uint64_t failed = 0;              ///< could not be stored
  std::uint64_t last_id = 0;             ///< of the last complete one
  std::uint64_t last_bytes = 0;          ///< its size
  std::chrono::nanoseconds last_took{};  ///< from the barriers to the disk
  std::chrono::nanoseconds age{};        ///< since the last complete one, or since the start
  std::uint64_t failed_since = 0;        ///< since the last complete one
  std::string last_failure{};            ///< in words
  std::chrono::nanoseconds under_way{};  ///< for how long one has been; zero: none is
  std::string waits_for{};               ///< the first operator that has not saved its state for it
  std::string saved_to{};                ///< the last savepoint; empty: none
  std::string save_failure{};            ///< why there is no newer one, in words

  struct part {
    std::string name;
    std::uint32_t instance = 0;
    std::uint64_t bytes = 0;
  };
  std::vector<part> parts{};                        ///< of the last complete one
  std::vector<metric_group::reading> of_storage{};  ///< what the storage counts
};

/// Asks the workers for barriers, collects the states and has them stored. Thread safe.
class checkpoint_coordinator {
 public:
  /// `asynchronous`: a thread of its own stores; otherwise the worker that brings the last state.
  checkpoint_coordinator(std::shared_ptr<checkpoint_storage> storage, checkpoint_options options,
                         std::string pipeline, std::uint64_t last_id, bool asynchronous,
                         const logger& log);
  ~checkpoint_coordinator();

  /// What takes part; before the start. `collectors` only begin when all others have saved.
  void add(const subtask& task, std::uint32_t worker, bool collector);

  /// Called with an id and whether it is the turn of the collectors: every worker is to have its
  /// sources send barriers. Set before the start; called on any thread.
  std::function<void(std::uint64_t id, bool collectors)> send_barriers;
  /// The checkpoint is durable.
  std::function<void(std::uint64_t id)> announce;

  /// Begins a checkpoint; false when one is under way or everything has ended.
  bool trigger(timestamp now);

  /// The same, or right after the one under way.
  void request(timestamp now);

  /// The next complete checkpoint, of the one under way if there is one, is copied to `directory`.
  /// False when another copy is wanted already, or everything has ended.
  bool save_next(std::string directory, timestamp now);

  /// The state of an instance at the barrier.
  void acknowledge(const subtask& who, std::uint64_t id, std::string state);

  /// An instance has ended; it has nothing to save any more. What a sink saved last goes on.
  void finished(const subtask& who);

  /// Whether records may flow: there was a checkpoint before, or the first one has been stored, or
  /// could not be.
  bool may_begin() const noexcept { return may_begin_.load(std::memory_order_acquire); }

  const checkpoint_options& options() const noexcept { return options_; }
  checkpoint_status status() const;

 private:
  struct member {
    const subtask* task;
    std::uint32_t worker;
    bool collector;
  };

  void settle(std::unique_lock<std::mutex>& lock);
  void store_now(checkpoint what);
  void save_newest(const std::string& directory);
  void store_in_background();

  std::shared_ptr<checkpoint_storage> storage_;
  checkpoint_options options_;
  std::string pipeline_;
  bool asynchronous_;
  logger log_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::vector<member> members_;
  std::unordered_set<const subtask*> missing_;
  std::unordered_set<const subtask*> finished_;
  // Of sinks: what stands outside of the pipeline stays part of its state when the sink has ended.
  std::unordered_map<const subtask*, operator_state> final_states_;
  std::optional<checkpoint> current_;
  bool collecting_ = false;  // the second stage has begun
  std::chrono::steady_clock::time_point began_;
  std::chrono::steady_clock::time_point completed_at_ = std::chrono::steady_clock::now();
  std::uint64_t last_id_;
  std::atomic<bool> may_begin_;
  std::optional<checkpoint> to_store_;
  bool again_ = false;
  std::string save_to_;
  bool closing_ = false;
  checkpoint_status status_;
  std::thread writer_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/runtime/impl/checkpoint.ipp>
#endif
