// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/crc32c.hpp>
#include <millrace/state/checkpoint_store.hpp>
#include <millrace/state/detail/checkpoint_core.hpp>

namespace millrace {

namespace detail {

MILLRACE_DECL result<void> write_synced(file_system& files, const std::string& path,
                                        std::string_view bytes) {
  const auto file = files.open(path, file_access::write);
  if (!file) return file.error();
  if (auto emptied = (*file)->truncate(0); !emptied) return emptied;
  if (auto written = write_fully(**file, 0, bytes); !written) return written;
  return (*file)->sync();
}

MILLRACE_DECL void checkpoint_core::write_chunk(checkpoint_draft& draft, std::uint64_t offset,
                                                const std::string& bytes) {
  if (!draft.outcome) return;
  const auto target = path(checkpoint_data_name(draft.id)) + ".tmp";
  if (!draft.file) {
    auto opened = files.open(target, file_access::write);
    if (!opened) {
      draft.outcome = opened.error();
      return;
    }
    draft.file = std::move(*opened);
    draft.has_data = true;
    draft.outcome = draft.file->truncate(0);
    if (draft.outcome) draft.outcome = write_fully(*draft.file, 0, encode_data_header(draft.id));
    if (!draft.outcome) return;
  }
  draft.outcome = write_fully(*draft.file, offset, bytes);
}

MILLRACE_DECL result<void> checkpoint_core::close_data(checkpoint_draft& draft) {
  if (!draft.has_data) return {};
  const auto name = path(checkpoint_data_name(draft.id));
  if (auto synced = draft.file->sync(); !synced) return synced;
  draft.file.reset();
  return files.rename(name + ".tmp", name);
}

/// The last step: the data is there under its name, durably; now the checkpoint gets its own.
MILLRACE_DECL result<void> checkpoint_core::name_manifest(checkpoint_draft& draft) {
  const auto name = path(manifest_name(draft.id));
  if (auto written = write_synced(files, name + ".tmp", encode(draft.manifest)); !written) {
    return written;
  }
  if (auto synced = files.sync_directory(options.directory); !synced) return synced;
  auto done = files.rename(name + ".tmp", name);
  if (done) done = files.sync_directory(options.directory);
  if (done) return {};
  auto why = done.error();
  const auto removed = files.remove(name);
  const bool gone = removed || removed.error().code == std::errc::no_such_file_or_directory;
  draft.may_be_found = !gone || !files.sync_directory(options.directory);
  if (draft.may_be_found) {
    why.message += "; this checkpoint may be found after a crash all the same: it is sound";
  }
  return why;
}

/// Writes everything, with the name of the manifest last.
MILLRACE_DECL result<void> checkpoint_core::complete_draft(checkpoint_draft& draft) {
  if (!draft.outcome) return draft.outcome;
  if (auto good = draft.manifest.normalize(); !good) return good;
  {
    const std::lock_guard guard(mutex);
    for (const auto& part : draft.manifest.parts) {
      for (const auto& chunk : part.chunks) {
        if (chunk.checkpoint == draft.id || data.count(chunk.checkpoint) != 0) continue;
        return error{errc::malformed, part.to_string() + ": refers to bytes of checkpoint " +
                                          std::to_string(chunk.checkpoint) +
                                          ", which are not there any more"};
      }
    }
  }
  if (auto closed = close_data(draft); !closed) return closed;
  if (auto named = name_manifest(draft); !named) return named;
  const std::lock_guard guard(mutex);
  if (draft.has_data) data.insert(draft.id);
  complete.emplace(draft.id, draft.manifest);
  return {};
}

/// What is left of a checkpoint that has failed; opening the store removes the rest.
MILLRACE_DECL void checkpoint_core::clean_up(checkpoint_draft& draft) {
  draft.file.reset();
  const auto manifest = path(manifest_name(draft.id));
  const auto data_file = path(checkpoint_data_name(draft.id));
  static_cast<void>(files.remove(manifest + ".tmp"));
  if (!draft.has_data) return;
  static_cast<void>(files.remove(data_file + ".tmp"));
  if (!draft.may_be_found) {
    static_cast<void>(files.remove(data_file));
    return;
  }
  const std::lock_guard guard(mutex);
  data.insert(draft.id);
  broken.emplace(draft.id, "it could not be completed");
}

/// Completes it or cleans up, and removes what is too old. As a job.
MILLRACE_DECL result<checkpoint_manifest> checkpoint_core::end_draft(
    const std::shared_ptr<checkpoint_draft>& draft) {
  for (const auto& [index, checksum] : draft->checksums) {
    draft->manifest.parts[index].chunks.back().checksum = checksum;
  }
  draft->checksums.clear();
  const auto outcome = complete_draft(*draft);
  if (!outcome) clean_up(*draft);
  {
    const std::lock_guard guard(mutex);
    drafts.erase(draft);
  }
  if (!outcome) {
    return error{outcome.error().code,
                 "checkpoint " + std::to_string(draft->id) + ": " + outcome.error().message};
  }
  retain_newest();
  return draft->manifest;
}

MILLRACE_DECL void checkpoint_core::count(const result<checkpoint_manifest>& answer,
                                          std::uint64_t written, std::chrono::nanoseconds took) {
  metrics.counter("written_bytes").add(written);
  metrics.counter("failed").add(answer ? 0 : 1);
  if (!answer) return;
  metrics.counter("completed").add();
  metrics.gauge("last_id").set(static_cast<std::int64_t>(answer->id));
  metrics.gauge("last_bytes").set(static_cast<std::int64_t>(answer->bytes()));
  metrics.gauge("last_us").set(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
}

}  // namespace detail

MILLRACE_DECL std::unique_ptr<checkpoint_writer> checkpoint_store::begin(checkpoint_info info) {
  MILLRACE_ASSERT(core_->options.access == store_access::write);
  auto draft = std::make_shared<detail::checkpoint_draft>();
  const std::lock_guard guard(core_->mutex);
  draft->id = core_->next_id++;
  draft->manifest.id = draft->id;
  draft->manifest.info = std::move(info);
  draft->needed = core_->needed_data();
  core_->drafts.insert(draft);
  return std::make_unique<checkpoint_writer>(core_, std::move(draft));
}

MILLRACE_DECL checkpoint_writer::checkpoint_writer(std::shared_ptr<detail::checkpoint_core> core,
                                                   std::shared_ptr<detail::checkpoint_draft> draft)
    : core_(std::move(core)), draft_(std::move(draft)) {}

MILLRACE_DECL checkpoint_writer::~checkpoint_writer() { abandon(); }

MILLRACE_DECL std::uint64_t checkpoint_writer::id() const noexcept { return draft_->id; }

MILLRACE_DECL result<void> checkpoint_writer::add(checkpoint_part part, std::string bytes) {
  const auto size = bytes.size();
  const auto most = core_->options.most_pending_bytes;
  const std::lock_guard guard(draft_->mutex);
  if (draft_->ended) {
    return error{errc::aborted, "checkpoint " + std::to_string(id()) + " takes no more state"};
  }
  if (size == 0) {
    draft_->manifest.parts.push_back(std::move(part));
    return {};
  }
  const auto before = core_->pending_bytes.fetch_add(size);
  if (before > 0 && (before > most || size > most - before)) {
    core_->pending_bytes.fetch_sub(size);
    return error{errc::overloaded, std::to_string(before) +
                                       " bytes of state wait to be written; "
                                       "checkpoint_store_options::most_pending_bytes is " +
                                       std::to_string(most)};
  }
  const auto offset = std::exchange(draft_->next_offset, draft_->next_offset + size);
  part.chunks.push_back({id(), offset, size, 0});
  const auto index = draft_->manifest.parts.size();
  draft_->manifest.parts.push_back(std::move(part));
  // Submitted under the lock: the bytes are written in the order of their offsets.
  core_->jobs.submit([core = core_.get(), draft = draft_, index, offset, held = std::move(bytes)] {
    const auto checksum = crc32c(held);
    core->write_chunk(*draft, offset, held);
    core->pending_bytes.fetch_sub(held.size());
    draft->checksums.emplace_back(index, checksum);
  });
  return {};
}

MILLRACE_DECL void checkpoint_writer::finish(
    environment& env, std::function<void(result<checkpoint_manifest>)> done) {
  end();
  const auto started = env.monotonic();
  core_->jobs.submit([core = core_.get(), draft = draft_, environment = &env, started,
                      alive = std::weak_ptr<bool>(core_->alive), done = std::move(done)]() mutable {
    auto answer = core->end_draft(draft);
    const auto written = draft->next_offset;
    environment->post([core, environment, started, written, alive = std::move(alive),
                       answer = std::move(answer), done = std::move(done)]() mutable {
      if (!alive.expired()) core->count(answer, written, environment->monotonic() - started);
      done(std::move(answer));
    });
  });
}

MILLRACE_DECL result<checkpoint_manifest> checkpoint_writer::finish_and_wait() {
  end();
  const auto started = std::chrono::steady_clock::now();
  result<checkpoint_manifest> answer = error{errc::aborted, "not written"};
  core_->jobs.submit([this, &answer] { answer = core_->end_draft(draft_); });
  core_->jobs.wait();
  core_->count(answer, draft_->next_offset, std::chrono::steady_clock::now() - started);
  return answer;
}

MILLRACE_DECL void checkpoint_writer::end() {
  const std::lock_guard guard(draft_->mutex);
  MILLRACE_ASSERT(!draft_->ended);
  draft_->ended = true;
}

MILLRACE_DECL void checkpoint_writer::abandon() {
  {
    const std::lock_guard guard(draft_->mutex);
    if (std::exchange(draft_->ended, true)) return;
  }
  core_->jobs.submit([core = core_.get(), draft = draft_] {
    core->clean_up(*draft);
    const std::lock_guard guard(core->mutex);
    core->drafts.erase(draft);
  });
}

}  // namespace millrace
