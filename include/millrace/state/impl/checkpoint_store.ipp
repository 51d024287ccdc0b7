// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/crc32c.hpp>
#include <millrace/state/checkpoint_store.hpp>
#include <millrace/state/detail/checkpoint_core.hpp>

#include <algorithm>
#include <iterator>

namespace millrace {

namespace detail {

/// Reads a manifest; once more if it is wrong, because a bit may have flipped on the way.
inline result<checkpoint_manifest> read_manifest_file(file_system& files, const std::string& path,
                                                      std::uint64_t id) {
  constexpr std::uint64_t most = std::uint64_t{1} << 30;
  result<checkpoint_manifest> manifest = error{};
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto bytes = read_file(files, path, most);
    if (!bytes) {
      manifest = bytes.error();
      continue;
    }
    manifest = decode_manifest(*bytes);
    if (manifest && manifest->id != id) {
      return error{errc::corrupt,
                   "the manifest is that of checkpoint " + std::to_string(manifest->id)};
    }
    if (manifest) return manifest;
  }
  return error{manifest.error().code, "the manifest: " + manifest.error().message};
}

MILLRACE_DECL result<void> checkpoint_core::load(const std::string& name) {
  const auto [what, id] = parse_checkpoint_file_name(name);
  if (what == checkpoint_file::other) return {};
  next_id = std::max(next_id, id + 1);
  if (what == checkpoint_file::data) data.insert(id);
  if (what != checkpoint_file::manifest) return {};
  auto manifest = read_manifest_file(files, path(name), id);
  if (manifest) {
    complete.emplace(id, std::move(*manifest));
  } else {
    broken.emplace(id, manifest.error().to_string());
  }
  return {};
}

MILLRACE_DECL result<void> checkpoint_core::open() {
  if (options.access == store_access::write) {
    if (auto made = files.create_directories(options.directory); !made) return made;
    auto taken = files.lock(path("lock"));
    if (!taken) return taken.error();
    lock = std::move(*taken);
  }
  const auto names = files.list(options.directory);
  if (!names) return names.error();
  for (const auto& name : *names) {
    if (auto loaded = load(name); !loaded) return loaded;
  }
  if (options.access == store_access::read) return {};
  // What is found may have been named just before a process died: from here on it must stay.
  if (auto synced = files.sync_directory(options.directory); !synced) return synced;
  remove_leftovers(*names);
  return {};
}

/// Failures do no harm: what is left over is removed another time.
MILLRACE_DECL void checkpoint_core::remove_leftovers(const std::vector<std::string>& names) {
  for (const auto& name : names) {
    if (parse_checkpoint_file_name(name).what == checkpoint_file::temporary) {
      static_cast<void>(files.remove(path(name)));
    }
  }
  remove_unneeded_data();
}

/// Callers hold the lock.
MILLRACE_DECL std::set<std::uint64_t> checkpoint_core::needed_data() const {
  std::set<std::uint64_t> needed;
  for (const auto& [id, manifest] : complete) {
    for (const auto& part : manifest.parts) {
      for (const auto& chunk : part.chunks) needed.insert(chunk.checkpoint);
    }
  }
  for (const auto& draft : drafts) {
    needed.insert(draft->id);
    needed.insert(draft->needed.begin(), draft->needed.end());
  }
  return needed;
}

MILLRACE_DECL void checkpoint_core::remove_unneeded_data() {
  std::vector<std::uint64_t> unneeded;
  {
    const std::lock_guard guard(mutex);
    // What a manifest needs that cannot be read is not known; it may be readable another time.
    if (!broken.empty()) return;
    const auto needed = needed_data();
    std::set_difference(data.begin(), data.end(), needed.begin(), needed.end(),
                        std::back_inserter(unneeded));
  }
  for (const auto id : unneeded) {
    if (!files.remove(path(checkpoint_data_name(id)))) continue;
    const std::lock_guard guard(mutex);
    data.erase(id);
  }
}

/// Keeps the newest ones. First the manifests go, durably, then what only they needed: whatever
/// happens in between, no manifest is left without its data.
MILLRACE_DECL void checkpoint_core::retain_newest() {
  std::vector<std::uint64_t> old;
  {
    const std::lock_guard guard(mutex);
    auto kept = complete.end();
    for (std::size_t n = 0; n < options.retain && kept != complete.begin(); ++n) --kept;
    for (auto at = complete.begin(); at != kept; ++at) old.push_back(at->first);
    for (const auto& [id, why] : broken) {
      if (kept != complete.end() && complete.size() >= options.retain && id < kept->first) {
        old.push_back(id);
      }
    }
  }
  for (const auto id : old) {
    const auto removed = files.remove(path(manifest_name(id)));
    if (!removed && removed.error().code != std::errc::no_such_file_or_directory) return;
  }
  if (!old.empty() && !files.sync_directory(options.directory)) return;
  {
    const std::lock_guard guard(mutex);
    for (const auto id : old) {
      complete.erase(id);
      broken.erase(id);
    }
  }
  remove_unneeded_data();
}

MILLRACE_DECL result<std::string> checkpoint_core::read(const state_chunk& chunk) const {
  const auto name = checkpoint_data_name(chunk.checkpoint);
  const auto file = files.open(path(name), file_access::read);
  if (!file) return file.error();
  result<void> problem;
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto head = read_exactly(**file, 0, checkpoint_data_header_bytes);
    problem = head ? check_data_header(*head, chunk.checkpoint) : head.error();
    if (!problem) continue;
    auto bytes = read_exactly(**file, chunk.offset, static_cast<std::size_t>(chunk.length));
    if (bytes && crc32c(*bytes) == chunk.checksum) return bytes;
    problem = bytes ? error{errc::corrupt, "the checksum is wrong"} : bytes.error();
  }
  return error{problem.error().code, "'" + name + "', " + std::to_string(chunk.length) +
                                         " bytes at byte " + std::to_string(chunk.offset) + ": " +
                                         problem.error().message};
}

}  // namespace detail

MILLRACE_DECL void checkpoint_store_options::validate() const {
  if (directory.empty()) {
    throw topology_error(
        "checkpoint_store_options::directory is empty; name the directory to write to");
  }
  if (retain == 0) {
    throw topology_error("checkpoint_store_options::retain is 0; nothing could be restored");
  }
}

MILLRACE_DECL checkpoint_store::checkpoint_store(checkpoint_store_options options)
    : core_(std::make_shared<detail::checkpoint_core>(std::move(options))) {}

MILLRACE_DECL checkpoint_store::~checkpoint_store() {
  core_->jobs.wait();
  core_->alive.reset();
  core_->lock.reset();
}

MILLRACE_DECL result<std::unique_ptr<checkpoint_store>> checkpoint_store::open(
    checkpoint_store_options options) {
  options.validate();
  std::unique_ptr<checkpoint_store> store(new checkpoint_store(std::move(options)));
  if (auto opened = store->core_->open(); !opened) {
    return error{opened.error().code,
                 "the checkpoints cannot be opened: " + opened.error().message};
  }
  return store;
}

MILLRACE_DECL std::vector<checkpoint_manifest> checkpoint_store::list() const {
  const std::lock_guard guard(core_->mutex);
  std::vector<checkpoint_manifest> all;
  for (const auto& [id, manifest] : core_->complete) all.push_back(manifest);
  return all;
}

MILLRACE_DECL std::vector<std::string> checkpoint_store::problems() const {
  const std::lock_guard guard(core_->mutex);
  std::vector<std::string> all;
  for (const auto& [id, why] : core_->broken) {
    all.push_back("checkpoint " + std::to_string(id) + ": " + why);
  }
  return all;
}

MILLRACE_DECL result<std::string> checkpoint_store::read(const state_chunk& chunk) const {
  return core_->read(chunk);
}

MILLRACE_DECL std::vector<std::string> checkpoint_store::verify(
    const checkpoint_manifest& manifest) const {
  std::vector<std::string> wrong;
  for (const auto& part : manifest.parts) {
    for (const auto& chunk : part.chunks) {
      const auto bytes = core_->read(chunk);
      if (bytes) continue;
      wrong.push_back("checkpoint " + std::to_string(manifest.id) + ", " + part.to_string() + ": " +
                      bytes.error().to_string());
    }
  }
  return wrong;
}

MILLRACE_DECL result<std::optional<checkpoint_choice>> checkpoint_store::latest_complete() const {
  auto good = list();
  const auto unreadable = [this] {
    const std::lock_guard guard(core_->mutex);
    return core_->broken;
  }();
  checkpoint_choice choice;
  auto next_broken = unreadable.rbegin();
  const auto refuse_down_to = [&](std::uint64_t id) {
    for (; next_broken != unreadable.rend() && next_broken->first > id; ++next_broken) {
      choice.refused.push_back("checkpoint " + std::to_string(next_broken->first) + ": " +
                               next_broken->second);
    }
  };
  for (auto at = good.rbegin(); at != good.rend(); ++at) {
    refuse_down_to(at->id);
    const auto wrong = verify(*at);
    if (wrong.empty()) {
      choice.manifest = std::move(*at);
      return std::optional<checkpoint_choice>(std::move(choice));
    }
    choice.refused.insert(choice.refused.end(), wrong.begin(), wrong.end());
  }
  refuse_down_to(0);
  if (choice.refused.empty()) return std::optional<checkpoint_choice>();
  std::string all = "no checkpoint in '" + core_->options.directory + "' is sound";
  for (const auto& why : choice.refused) all += "; " + why;
  return error{errc::corrupt, std::move(all)};
}

MILLRACE_DECL std::uint64_t checkpoint_store::bytes() const {
  const auto names = core_->files.list(core_->options.directory);
  std::uint64_t sum = 0;
  if (!names) return sum;
  for (const auto& name : *names) {
    if (parse_checkpoint_file_name(name).what == checkpoint_file::other) continue;
    const auto file = core_->files.open(core_->path(name), file_access::read);
    if (!file) continue;
    if (const auto size = (*file)->size()) sum += *size;
  }
  return sum;
}

MILLRACE_DECL void checkpoint_store::wait() { core_->jobs.wait(); }

MILLRACE_DECL const metric_group& checkpoint_store::metrics() const noexcept {
  return core_->metrics;
}

}  // namespace millrace
