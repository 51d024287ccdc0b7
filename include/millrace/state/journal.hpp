// SPDX-License-Identifier: Apache-2.0
/// \file
/// The journal: an append-only log of byte strings on disk, which makes push sources replayable and
/// is the raw archive. Appending never waits for the disk: records are written and made durable in
/// groups, by default on a thread of the journal's own. Used on the worker's thread; readers
/// (journal_reader.hpp) may be used anywhere.
///
///     auto log = journal::open({.directory = "journal"}, ctx.env()).value();
///     log->on_durable([&](std::uint64_t end) { acknowledge_below(end); });
///     const auto offset = log->append(payload);     // refused when the disk is full
#pragma once

#include <millrace/base/background_jobs.hpp>
#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/base/file_system.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/state/journal_log.hpp>
#include <millrace/state/journal_reader.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct journal_options {
  std::string directory{};  ///< made when it is missing; one journal, one writer

  // Records are written and made durable when one of these is reached.
  std::size_t commit_bytes = std::size_t{1} << 20;
  std::size_t commit_records = 10'000;
  std::chrono::nanoseconds commit_after = std::chrono::milliseconds{5};  ///< since the first one

  /// What may wait to become durable; beyond it `append` refuses.
  std::size_t most_pending_bytes = std::size_t{32} << 20;
  std::size_t most_record_bytes = std::size_t{16} << 20;

  /// A new file is begun when one has so many bytes. At least 4 KiB.
  std::uint64_t segment_bytes = std::uint64_t{64} << 20;

  // Old segments are removed as a whole, when others are written. By default the disk is the bound.
  std::optional<duration> retain_for{};         ///< by the time of the newest record in it
  std::optional<std::uint64_t> retain_bytes{};  ///< of all segments together

  /// As full counts a disk with less room than this, so that checkpoints still find some.
  std::uint64_t keep_free_bytes = std::uint64_t{64} << 20;
  std::chrono::nanoseconds retry_when_full = std::chrono::seconds{1};

  journal_damage damage = journal_damage::refuse;  ///< found when opening, or by readers
  job_place place = job_place::own_thread;         ///< `caller` in simulations
  file_system* files = nullptr;                    ///< the real one
  metric_group* metrics = nullptr;                 ///< where to count; otherwise `metrics()`
  std::string metric_prefix{};                     ///< before the names of its metrics
  std::string name = "journal";                    ///< in the log

  /// \throws topology_error that names the option
  MILLRACE_DECL void validate() const;
};

enum class journal_status : std::uint8_t {
  open,
  full,    ///< no room on the disk: appends are refused, what waits is tried again
  failed,  ///< for good: what is durable can be read, nothing can be written
  closed,
};

/// One writer of one directory. Callbacks run on the worker's thread, never inside of a function of
/// the journal.
class journal {
 public:
  /// Opens a journal or makes one. A torn end, left by a crash, is cut off: nothing of it was ever
  /// reported as durable. What is there afterwards is durable. Takes as long as reading the last
  /// segment. Fails with `errc::unavailable` when somebody else writes there, and with
  /// `errc::corrupt` when records are damaged that were durable (unless they are to be skipped).
  static result<std::unique_ptr<journal>> open(journal_options options, environment& env);

  /// Closes.
  ~journal();
  journal(const journal&) = delete;
  journal& operator=(const journal&) = delete;

  /// Takes a record and returns its offset. It becomes durable later: `on_durable`. A refusal
  /// leaves the journal as it was: `errc::too_large`, `errc::overloaded` (too much waits: try again
  /// after the next `on_durable`), no space on device (try again after the status is `open`), or
  /// the error that the journal has failed with. O(bytes).
  result<std::uint64_t> append(std::string_view record);

  /// The same for several, all or none; the offset of the first one.
  result<std::uint64_t> append(std::span<const std::string_view> records);

  /// Makes durable now what has been appended, without waiting for more.
  void commit();

  /// The offset of the next record, the end of what is durable, and the first one still there.
  std::uint64_t next_offset() const noexcept { return next_offset_; }
  std::uint64_t durable_end() const { return log_->durable_end(); }
  std::uint64_t first_offset() const { return log_->first_offset(); }
  std::uint64_t bytes() const { return log_->bytes(); }

  /// Calls `f(end)` whenever more has become durable: every record below `end` is. Returns an id
  /// for `forget`.
  std::uint64_t on_durable(std::function<void(std::uint64_t end)> f);

  /// Calls `f` when the status changes; the error says why, in words.
  std::uint64_t on_status(std::function<void(journal_status, const error& why)> f);
  void forget(std::uint64_t id) noexcept;

  journal_status status() const noexcept { return status_; }
  /// Why it is full or has failed.
  const error& problem() const noexcept { return problem_; }

  /// What was cut off when it was opened; empty when nothing was. For the log.
  const std::string& repaired() const noexcept { return repaired_; }

  /// A new reader. It must not outlive `files` of the options.
  result<journal_reader> read_from(const journal_start& start) const;

  /// Records from `offset` on are needed (by a checkpoint that may be restored): retention leaves
  /// them. At first nothing is needed.
  void need_from(std::uint64_t offset) noexcept { needed_from_ = offset; }

  /// Makes everything durable that was appended, waits for it, and gives the directory free. The
  /// error, if not everything became durable. Callbacks do not run any more.
  result<void> close();

  /// Counters appended, appended_bytes, commits, refused, retries, segments_made, segments_removed;
  /// gauges pending_bytes, durable_end, bytes, last_commit_us, most_commit_us, status.
  const metric_group& metrics() const noexcept { return *metrics_; }

 private:
  struct job;
  struct counters;
  struct observers;
  class segment_writer;

  journal(journal_options options, environment& env);

  result<void> begin();
  result<void> recover(const journal_directory& found);
  result<void> may_append(std::size_t bytes, std::size_t largest);
  void after_append();
  void start_commit();
  void run(const std::shared_ptr<job>& work);
  void write_job(job& work);
  void finish(const std::shared_ptr<job>& work);
  void finished_well(job& work);
  void set_status(journal_status status, error why);
  void plan_retention(job& work);
  void retry_later(const std::shared_ptr<job>& work);
  timestamp time_of_append();
  void stop_timer() noexcept;

  journal_options options_;
  environment& env_;
  metric_group own_metrics_;
  metric_group* metrics_;
  std::unique_ptr<counters> counters_;
  std::shared_ptr<journal_log> log_;
  std::unique_ptr<file_lock> lock_;
  std::unique_ptr<segment_writer> writer_;  // used by the job, while there is one
  std::unique_ptr<observers> observers_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  journal_frames pending_;
  journal_frames spare_;
  std::shared_ptr<job> flight_;
  timer_id timer_ = 0;
  bool due_ = false;
  std::uint64_t next_offset_ = 0;
  std::uint64_t needed_from_ = UINT64_MAX;
  std::optional<std::chrono::nanoseconds> retention_checked_;
  std::vector<std::string> doomed_;  // files that retention could not remove yet
  timestamp last_time_ = min_timestamp;
  journal_status status_ = journal_status::open;
  error problem_;
  std::string repaired_;
  background_jobs jobs_;  // last: its thread ends before what it uses
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/state/impl/journal.ipp>
#include <millrace/state/impl/journal_open.ipp>
#endif
