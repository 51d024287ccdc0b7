// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/state/impl/journal_writer.ipp>
#include <millrace/state/journal.hpp>

#include <algorithm>
#include <cerrno>

namespace millrace {

MILLRACE_DECL journal::journal(journal_options options, environment& env)
    : options_(std::move(options)),
      env_(env),
      metrics_(options_.metrics != nullptr ? options_.metrics : &own_metrics_),
      counters_(std::make_unique<counters>(*metrics_, options_.metric_prefix)),
      log_(std::make_shared<journal_log>(file_system_or_default(options_.files),
                                         options_.directory)),
      observers_(std::make_unique<observers>()),
      jobs_(options_.place) {
  // A group is a bit larger than what triggers it. The memory is taken when it is used.
  const auto usual = std::min(options_.commit_bytes, options_.most_pending_bytes);
  for (auto* frames : {&pending_, &spare_}) frames->reserve(usual + usual / 4);
}

MILLRACE_DECL journal::~journal() { static_cast<void>(close()); }

MILLRACE_DECL std::uint64_t journal::on_durable(std::function<void(std::uint64_t)> f) {
  observers_->durable.emplace(++observers_->last_id, std::move(f));
  return observers_->last_id;
}

MILLRACE_DECL std::uint64_t journal::on_status(
    std::function<void(journal_status, const error&)> f) {
  observers_->status.emplace(++observers_->last_id, std::move(f));
  return observers_->last_id;
}

MILLRACE_DECL void journal::forget(std::uint64_t id) noexcept {
  observers_->durable.erase(id);
  observers_->status.erase(id);
}

MILLRACE_DECL result<journal_reader> journal::read_from(const journal_start& start) const {
  journal_reader reader(log_, options_.damage);
  if (auto found = reader.seek(start); !found) return found.error();
  return reader;
}

MILLRACE_DECL result<void> journal::may_append(std::size_t bytes, std::size_t largest) {
  error refusal;
  if (status_ == journal_status::closed) {
    refusal = {errc::aborted, "the journal '" + options_.directory + "' is closed"};
  } else if (status_ != journal_status::open) {
    refusal = problem_;
  } else if (largest > options_.most_record_bytes) {
    refusal = {errc::too_large, "a record of " + std::to_string(largest) +
                                    " bytes; journal_options::most_record_bytes is " +
                                    std::to_string(options_.most_record_bytes)};
  } else {
    const auto waiting = pending_.size() + (flight_ ? flight_->bytes : 0);
    // One batch always fits: nobody could ever append it otherwise.
    if (waiting == 0 || waiting + bytes <= options_.most_pending_bytes) return {};
    refusal = {errc::overloaded, std::to_string(waiting) +
                                     " bytes wait to become durable in the journal '" +
                                     options_.directory + "'"};
  }
  counters_->refused.add();
  return refusal;
}

/// Wall clock that does not go back.
MILLRACE_DECL timestamp journal::time_of_append() {
  last_time_ = std::max(last_time_, env_.now());
  return last_time_;
}

MILLRACE_DECL result<std::uint64_t> journal::append(std::string_view record) {
  return append(std::span<const std::string_view>(&record, 1));
}

MILLRACE_DECL result<std::uint64_t> journal::append(std::span<const std::string_view> records) {
  std::size_t bytes = 0;
  std::size_t largest = 0;
  for (const auto& record : records) {
    bytes += record.size();
    largest = std::max(largest, record.size());
  }
  if (auto allowed = may_append(bytes, largest); !allowed) return allowed.error();
  const auto first = next_offset_;
  const auto time = time_of_append();
  for (const auto& record : records) pending_.add({next_offset_++, time, record});
  counters_->appended.add(records.size());
  counters_->appended_bytes.add(bytes);
  if (!records.empty()) after_append();
  return first;
}

MILLRACE_DECL void journal::after_append() {
  counters_->pending_bytes.set(
      static_cast<std::int64_t>(pending_.size() + (flight_ ? flight_->bytes : 0)));
  if (pending_.size() >= options_.commit_bytes || pending_.records() >= options_.commit_records) {
    due_ = true;
    start_commit();
  } else if (timer_ == 0 && !due_) {
    timer_ = env_.call_after(options_.commit_after, [this] {
      timer_ = 0;
      commit();
    });
  }
}

MILLRACE_DECL void journal::commit() {
  due_ = true;
  start_commit();
}

MILLRACE_DECL void journal::stop_timer() noexcept {
  if (timer_ != 0) env_.cancel_timer(std::exchange(timer_, 0));
}

/// What is pending becomes a job, unless one is on its way: then it waits, and grows.
MILLRACE_DECL void journal::start_commit() {
  if (flight_ || status_ != journal_status::open) return;
  if (pending_.empty()) {
    due_ = false;
    return;
  }
  stop_timer();
  due_ = false;
  flight_ = std::make_shared<job>();
  flight_->end_offset = next_offset_;
  flight_->bytes = pending_.size();
  flight_->durable = log_->durable_end();
  flight_->first_time = pending_.frames().front().first;
  flight_->last_time = pending_.frames().back().last;
  flight_->frames = std::exchange(pending_, std::exchange(spare_, journal_frames{}));
  plan_retention(*flight_);
  run(flight_);
}

MILLRACE_DECL void journal::run(const std::shared_ptr<job>& work) {
  work->started = env_.monotonic();
  jobs_.submit([this, work, alive = std::weak_ptr<bool>(alive_)] {
    write_job(*work);
    env_.post([this, work, alive] {
      if (!alive.expired()) finish(work);
    });
  });
}

/// On the journal's thread. Touches the job and the segment writer only.
MILLRACE_DECL void journal::write_job(job& work) {
  work.result = job::outcome::done;
  auto& files = log_->files();
  const auto stop = [&work](error why, const char* step, bool may_be_full) {
    const bool full = may_be_full && is_disk_full(why.code);
    work.result = full ? job::outcome::full : job::outcome::failed;
    work.problem = {why.code, std::string(step) + ": " + why.message};
  };
  // Also what helps when the disk is full.
  // One at a time and oldest first, or a crash could leave a hole between segments.
  auto at = work.remove.begin();
  for (; at != work.remove.end(); ++at) {
    const auto gone = files.remove(*at);
    if (!gone && gone.error().code != std::errc::no_such_file_or_directory) break;
    if (!files.sync_directory(options_.directory)) break;
    ++work.removed;
  }
  work.remove.erase(work.remove.begin(), at);
  if (work.frames.empty()) return;
  const auto room = files.space_left(options_.directory);
  if (room && *room < options_.keep_free_bytes) {
    return stop(
        {{ENOSPC, std::system_category()},
         std::to_string(*room) + " bytes are left on the disk of '" + options_.directory +
             "', journal_options::keep_free_bytes is " + std::to_string(options_.keep_free_bytes)},
        "the journal cannot go on", true);
  }
  if (writer_->is_full() && !work.made) {
    if (!std::exchange(work.sealed, true)) {
      if (auto sealed = writer_->seal(); !sealed) {
        return stop(sealed.error(), "the journal cannot end a segment", false);
      }
    }
    if (auto made = writer_->make(work.durable, work.first_time); !made) {
      return stop(made.error(), "the journal cannot begin a segment", true);
    }
    work.made = journal_log::segment{writer_->path(), work.durable, work.first_time, work.durable,
                                     journal_segment_header::bytes};
  }
  if (auto written = writer_->write(work.frames, work.durable); !written) {
    return stop(written.error(), "the journal cannot write", true);
  }
  if (auto synced = writer_->sync(); !synced) {
    return stop(synced.error(), "the journal cannot make records durable, and stops for good",
                false);
  }
  work.position = writer_->position();
  writer_->advance(work.frames.size());
  writer_->mark(work.end_offset, work.last_time);
}

MILLRACE_DECL void journal::finish(const std::shared_ptr<job>& work) {
  if (std::exchange(work->handled, true)) return;
  doomed_ = std::exchange(work->remove, {});  // the next job tries again
  if (work->removed > 0) {
    counters_->segments_removed.add(std::exchange(work->removed, 0));
  }
  switch (work->result) {
    case job::outcome::done: return finished_well(*work);
    case job::outcome::failed:
      flight_.reset();
      stop_timer();
      pending_.clear();
      return set_status(journal_status::failed, work->problem);
    case job::outcome::full:
      set_status(journal_status::full, work->problem);
      return retry_later(work);
  }
}

MILLRACE_DECL void journal::finished_well(job& work) {
  if (work.made) {
    log_->add(*work.made, {});
    counters_->segments_made.add();
  }
  for (const auto& frame : work.frames.frames()) {
    log_->note(writer_->first_offset(), {frame.first_offset, frame.last, work.position + frame.at});
  }
  log_->advance(work.end_offset, writer_->position());
  counters_->commits.add();
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(env_.monotonic() - work.started)
          .count();
  counters_->last_commit_us.set(micros);
  counters_->most_commit_us.set(std::max(counters_->most_commit_us.value(), std::int64_t{micros}));
  counters_->durable_end.set(static_cast<std::int64_t>(work.end_offset));
  counters_->bytes.set(static_cast<std::int64_t>(log_->bytes()));
  spare_ = std::exchange(work.frames, journal_frames{});
  spare_.clear();
  flight_.reset();
  counters_->pending_bytes.set(static_cast<std::int64_t>(pending_.size()));
  const auto end = work.end_offset;
  const std::weak_ptr<bool> alive = alive_;
  if (status_ == journal_status::full) set_status(journal_status::open, {});
  if (alive.expired()) return;
  const bool enough =
      pending_.size() >= options_.commit_bytes || pending_.records() >= options_.commit_records;
  if (due_ || enough || timer_ == 0) start_commit();
  observers::call(observers_->durable, end);
}

MILLRACE_DECL void journal::retry_later(const std::shared_ptr<job>& work) {
  stop_timer();
  timer_ = env_.call_after(options_.retry_when_full, [this, work] {
    timer_ = 0;
    counters_->retries.add();
    work->handled = false;
    plan_retention(*work);
    run(work);
  });
}

MILLRACE_DECL void journal::set_status(journal_status status, error why) {
  problem_ = std::move(why);
  if (std::exchange(status_, status) == status) return;
  counters_->status.set(static_cast<std::int64_t>(status));
  if (status == journal_status::open) {
    env_.log().info(options_.name, "there is room on the disk again: the journal goes on");
  } else if (status != journal_status::closed) {
    env_.log().error(options_.name, problem_.to_string());
  }
  observers::call(observers_->status, status_, problem_);
}

/// Which segments are to go. They leave the readers' list before their files do.
MILLRACE_DECL void journal::plan_retention(job& work) {
  work.remove.insert(work.remove.begin(), doomed_.begin(), doomed_.end());
  doomed_.clear();
  if (!options_.retain_for && !options_.retain_bytes) return;
  constexpr std::chrono::nanoseconds now_and_then = std::chrono::seconds{1};
  const auto now = env_.monotonic();
  if (retention_checked_ && now - *retention_checked_ < now_and_then && !writer_->is_full()) return;
  retention_checked_ = now;
  const auto segments = log_->segments();
  auto bytes = log_->bytes();
  std::uint64_t keep_from = segments.front().first_offset;
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    const auto& oldest = segments[i];
    if (oldest.end_offset > needed_from_) break;
    const bool too_much = options_.retain_bytes && bytes > *options_.retain_bytes;
    // The next one was begun after this one's last record.
    const bool too_old = options_.retain_for &&
                         segments[i + 1].created < saturating_sub(env_.now(), *options_.retain_for);
    if (!too_much && !too_old) break;
    work.remove.push_back(oldest.path);
    bytes -= std::min(bytes, oldest.bytes);
    keep_from = oldest.end_offset;
  }
  log_->remove_before(keep_from);
}

MILLRACE_DECL result<void> journal::close() {
  if (status_ == journal_status::closed) return {};
  observers_->durable.clear();
  observers_->status.clear();
  stop_timer();
  // A job that is on its way has not been told to the worker yet: its callback finds it handled.
  while (flight_ || (status_ == journal_status::open && !pending_.empty())) {
    if (!flight_) start_commit();
    jobs_.wait();
    const auto work = flight_;
    if (work && !work->handled) finish(work);
    if (status_ != journal_status::open) break;
  }
  stop_timer();
  jobs_.wait();
  result<void> outcome;
  if (status_ != journal_status::open) outcome = problem_;
  if (outcome && writer_ != nullptr) {
    writer_->mark(next_offset_, last_time_);
    if (auto synced = writer_->sync(); !synced) outcome = synced;
  }
  status_ = journal_status::closed;
  alive_.reset();
  writer_.reset();
  lock_.reset();
  return outcome;
}

}  // namespace millrace
