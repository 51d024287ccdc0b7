// SPDX-License-Identifier: Apache-2.0
/// \file
/// Savepoints: copies of checkpoints that depend on nothing.
#pragma once

#include <millrace/state/checkpoint_store.hpp>
#include <millrace/state/detail/checkpoint_core.hpp>

namespace millrace {

namespace detail {

/// Copies all bytes of a checkpoint into one data file in `directory`, then its manifest.
inline result<checkpoint_manifest> copy_checkpoint(checkpoint_core& from,
                                                   checkpoint_manifest manifest,
                                                   const std::string& directory) {
  auto& files = from.files;
  if (auto made = files.create_directories(directory); !made) return made.error();
  const auto names = files.list(directory);
  if (!names) return names.error();
  for (const auto& name : *names) {
    if (parse_checkpoint_file_name(name).what == checkpoint_file::manifest) {
      return error{std::make_error_code(std::errc::file_exists),
                   "'" + directory + "' holds a checkpoint already: '" + name + "'"};
    }
  }
  checkpoint_store_options options = from.options;
  options.directory = directory;
  options.place = job_place::caller;
  options.metrics = nullptr;
  checkpoint_core to(std::move(options));
  checkpoint_draft draft;
  draft.id = manifest.id;
  manifest.kind = checkpoint_kind::savepoint;
  for (auto& part : manifest.parts) {
    for (auto& chunk : part.chunks) {
      const auto bytes = from.read(chunk);
      if (!bytes) {
        to.clean_up(draft);
        return bytes.error();
      }
      chunk.checkpoint = draft.id;
      chunk.offset = std::exchange(draft.next_offset, draft.next_offset + chunk.length);
      to.write_chunk(draft, chunk.offset, *bytes);
    }
  }
  draft.manifest = manifest;
  auto done = to.complete_draft(draft);
  if (done) return manifest;
  to.clean_up(draft);
  return done.error();
}

}  // namespace detail

MILLRACE_DECL void checkpoint_store::save(const checkpoint_manifest& manifest,
                                          std::string directory, environment& env,
                                          std::function<void(result<checkpoint_manifest>)> done) {
  // Keeps the data from being removed before it has been copied.
  auto hold = std::make_shared<detail::checkpoint_draft>();
  for (const auto& part : manifest.parts) {
    for (const auto& chunk : part.chunks) hold->needed.insert(chunk.checkpoint);
  }
  {
    const std::lock_guard guard(core_->mutex);
    core_->drafts.insert(hold);
  }
  core_->jobs.submit([core = core_.get(), hold, manifest, directory = std::move(directory),
                      environment = &env, alive = std::weak_ptr<bool>(core_->alive),
                      done = std::move(done)]() mutable {
    auto saved = detail::copy_checkpoint(*core, std::move(manifest), directory);
    {
      const std::lock_guard guard(core->mutex);
      core->drafts.erase(hold);
    }
    environment->post([core, alive = std::move(alive), saved = std::move(saved),
                       done = std::move(done)]() mutable {
      if (saved && !alive.expired()) core->metrics.counter("saved").add();
      done(std::move(saved));
    });
  });
}

MILLRACE_DECL result<checkpoint_manifest> checkpoint_store::save_and_wait(
    const checkpoint_manifest& manifest, const std::string& directory) {
  result<checkpoint_manifest> saved = error{errc::aborted, "not copied"};
  core_->jobs.submit([this, &saved, &manifest, &directory] {
    saved = detail::copy_checkpoint(*core_, manifest, directory);
  });
  core_->jobs.wait();
  if (saved) core_->metrics.counter("saved").add();
  return saved;
}

}  // namespace millrace
