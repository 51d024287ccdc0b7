// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a checkpoint store and its writers share: which files there are, and who needs them. The
/// lock protects everything but `jobs`, which has its own.
#pragma once

#include <millrace/base/background_jobs.hpp>
#include <millrace/base/file_system.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/state/checkpoint_store.hpp>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace millrace::detail {

/// A checkpoint on its way. Jobs use everything from `file` on, one after the other.
struct checkpoint_draft {
  std::uint64_t id = 0;
  std::set<std::uint64_t> needed{};  // data files that must stay as long as this is not complete

  std::mutex mutex{};
  checkpoint_manifest manifest{};  // under the mutex, until `finish`
  std::uint64_t next_offset = checkpoint_data_header_bytes;
  bool ended = false;

  std::unique_ptr<open_file> file{};
  bool has_data = false;
  bool may_be_found = false;  // failed, but its manifest may have got its name
  result<void> outcome{};
  std::vector<std::pair<std::size_t, std::uint32_t>> checksums{};  // of parts' last chunks
};

struct checkpoint_core {
  explicit checkpoint_core(checkpoint_store_options o)
      : options(std::move(o)),
        files(file_system_or_default(options.files)),
        metrics(options.metrics != nullptr ? *options.metrics : own_metrics),
        jobs(options.place) {}

  checkpoint_store_options options;
  file_system& files;
  metric_group own_metrics{};
  metric_group& metrics;
  std::unique_ptr<file_lock> lock{};

  std::mutex mutex{};
  std::map<std::uint64_t, checkpoint_manifest> complete{};
  std::map<std::uint64_t, std::string> broken{};  // manifests that cannot be read
  std::set<std::uint64_t> data{};                 // ids of data files
  std::set<std::shared_ptr<checkpoint_draft>> drafts{};
  std::uint64_t next_id = 1;

  std::atomic<std::uint64_t> pending_bytes{0};
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  background_jobs jobs;  // last: its thread ends before what it uses

  std::string path(const std::string& name) const { return path_in(options.directory, name); }

  result<void> open();
  result<void> load(const std::string& name);
  void remove_leftovers(const std::vector<std::string>& names);

  void write_chunk(checkpoint_draft& draft, std::uint64_t offset, const std::string& bytes);
  result<checkpoint_manifest> end_draft(const std::shared_ptr<checkpoint_draft>& draft);
  result<void> complete_draft(checkpoint_draft& draft);
  void count(const result<checkpoint_manifest>& answer, std::uint64_t written,
             std::chrono::nanoseconds took);
  result<void> close_data(checkpoint_draft& draft);
  result<void> name_manifest(checkpoint_draft& draft);
  void clean_up(checkpoint_draft& draft);
  void retain_newest();
  void remove_unneeded_data();
  std::set<std::uint64_t> needed_data() const;

  result<std::string> read(const state_chunk& chunk) const;
};

/// Writes a file whose name must not be there yet or may be replaced, up to fsync.
MILLRACE_DECL result<void> write_synced(file_system& files, const std::string& path,
                                        std::string_view bytes);

}  // namespace millrace::detail
