// SPDX-License-Identifier: Apache-2.0
/// \file
/// A directory of checkpoints. Each is complete or not there: its manifest gets its name last, when
/// everything it refers to is on the medium. Writing happens on a thread of the store's own.
/// Functions are thread safe unless they say otherwise.
///
///     auto store = checkpoint_store::open({.directory = "state"}).value();
///     auto writer = store->begin({.pipeline = "p", .time = env.now()});
///     writer->add({.operator_name = "stats", .type = type}, snapshot_bytes);    // from any worker
///     writer->finish(env, [](result<checkpoint_manifest> done) { ... });
///
///     auto latest = store->latest_complete();    // and read(chunk) for each chunk of its parts
#pragma once

#include <millrace/base/background_jobs.hpp>
#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/base/file_system.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/state/checkpoint_manifest.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

enum class store_access : std::uint8_t {
  write,  ///< one at a time; leftovers of a crash are removed
  read,   ///< changes nothing, needs no lock: for tools, and for restoring from a savepoint
};

struct checkpoint_store_options {
  std::string directory{};  ///< made when it is missing (access `write`)
  store_access access = store_access::write;
  std::size_t retain = 3;  ///< complete checkpoints that are kept; at least 1
  /// State that waits to be written; beyond it `add` refuses and the checkpoint fails.
  std::uint64_t most_pending_bytes = std::uint64_t{4} << 30;
  job_place place = job_place::own_thread;  ///< `caller` in simulations
  file_system* files = nullptr;             ///< the real one
  metric_group* metrics = nullptr;          ///< where to count; otherwise `metrics()`

  /// \throws topology_error that names the option
  MILLRACE_DECL void validate() const;
};

/// A checkpoint to restore, and why no newer one.
struct checkpoint_choice {
  checkpoint_manifest manifest;
  std::vector<std::string> refused;  ///< newer ones, each with what is wrong with it
};

namespace detail {
struct checkpoint_core;
struct checkpoint_draft;
}  // namespace detail

/// A checkpoint that is being written. Gone without `finish`, it is abandoned. Must not outlive its
/// store.
class checkpoint_writer {
 public:
  checkpoint_writer(std::shared_ptr<detail::checkpoint_core> core,
                    std::shared_ptr<detail::checkpoint_draft> draft);
  checkpoint_writer(const checkpoint_writer&) = delete;
  checkpoint_writer& operator=(const checkpoint_writer&) = delete;
  ~checkpoint_writer();

  /// Greater than that of every checkpoint that is there. The id of one that was never completed
  /// may be given again after a restart.
  std::uint64_t id() const noexcept;

  /// Adds the state of an operator's instance. `part.chunks` are what it builds on: those of its
  /// part in an earlier manifest, for an increment; none for a full snapshot. `bytes` become one
  /// more chunk, unless they are empty: then nothing has changed. Returns at once.
  result<void> add(checkpoint_part part, std::string bytes);

  /// Completes the checkpoint, then removes old ones, then calls `done` on the worker of `env`:
  /// with the manifest when everything is on the medium, or with what went wrong; then there is no
  /// such checkpoint. (When the disk fails at the very last step and refuses to remove the manifest
  /// as well, the error says that it may be found after a crash: sound, as every other.) Once.
  void finish(environment& env, std::function<void(result<checkpoint_manifest>)> done);

  /// The same, and returns when it is done. Not on a worker, which must not wait; one at a time.
  result<checkpoint_manifest> finish_and_wait();

  /// Removes what was written.
  void abandon();

 private:
  void end();

  std::shared_ptr<detail::checkpoint_core> core_;
  std::shared_ptr<detail::checkpoint_draft> draft_;
};

class checkpoint_store {
 public:
  /// Opens it, and removes what a crash has left unfinished. `errc::unavailable` when somebody else
  /// writes there. Broken checkpoints are no failure: see `problems`.
  static result<std::unique_ptr<checkpoint_store>> open(checkpoint_store_options options);

  /// Waits for what is being written.
  ~checkpoint_store();
  checkpoint_store(const checkpoint_store&) = delete;
  checkpoint_store& operator=(const checkpoint_store&) = delete;

  /// \pre opened for writing
  std::unique_ptr<checkpoint_writer> begin(checkpoint_info info);

  /// The newest checkpoint of which every byte is as it was written; all of them are read. Nothing
  /// when there never was one; `errc::corrupt`, with everything that is wrong, when there are only
  /// broken ones.
  result<std::optional<checkpoint_choice>> latest_complete() const;

  /// Those with a good manifest, oldest first.
  std::vector<checkpoint_manifest> list() const;

  /// Manifests that cannot be read, in words: "checkpoint 17: its checksum is wrong".
  std::vector<std::string> problems() const;

  /// Reads all bytes of a checkpoint. What is wrong with it, in words; empty when nothing is.
  std::vector<std::string> verify(const checkpoint_manifest& manifest) const;

  /// The bytes of a chunk, with a good checksum.
  result<std::string> read(const state_chunk& chunk) const;

  /// Copies a checkpoint into a directory of its own (made when missing; there must be none in it),
  /// where it depends on nothing else and is never removed; can be opened as a store. `done` is
  /// called on the worker of `env`.
  void save(const checkpoint_manifest& manifest, std::string directory, environment& env,
            std::function<void(result<checkpoint_manifest>)> done);

  /// The same, and returns when it is done. Not on a worker, which must not wait.
  result<checkpoint_manifest> save_and_wait(const checkpoint_manifest& manifest,
                                            const std::string& directory);

  /// Bytes of all files; looks at each of them.
  std::uint64_t bytes() const;

  /// Returns when everything begun so far is written; callbacks may still be on their way.
  void wait();

  /// Counters completed, failed, saved, written_bytes; gauges last_id, last_bytes, last_us.
  const metric_group& metrics() const noexcept;

 private:
  explicit checkpoint_store(checkpoint_store_options options);

  std::shared_ptr<detail::checkpoint_core> core_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/state/impl/checkpoint_save.ipp>
#include <millrace/state/impl/checkpoint_store.ipp>
#include <millrace/state/impl/checkpoint_writer.ipp>
#endif
