// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/testing/detail/faulty_disk.hpp>
#include <millrace/testing/faulty_file_system.hpp>

namespace millrace::testing {

namespace detail {

using disk_state = faulty_file_system::state;

inline bool fails(disk_fault fault) noexcept {
  return fault != disk_fault::none && fault != disk_fault::bit_flip;
}

class faulty_file final : public open_file {
 public:
  faulty_file(std::shared_ptr<disk_state> disk, std::shared_ptr<disk_file> file, std::string path,
              bool writable)
      : disk_(std::move(disk)),
        file_(std::move(file)),
        path_(std::move(path)),
        generation_(disk_->generation),
        writable_(writable) {}

  result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t size) override {
    const std::lock_guard lock(disk_->mutex);
    const auto fault = begin(disk_operation::read);
    if (fails(fault)) return disk_state::failure(fault, "read", path_);
    const auto length = file_->content.size();
    if (offset >= length) return std::size_t{0};
    const auto n = file_->content.copy(into, size, static_cast<std::size_t>(offset));
    if (fault == disk_fault::bit_flip && n > 0) {
      into[disk_->random() % n] ^= static_cast<char>(1U << (disk_->random() % 8));
    }
    return n;
  }

  result<std::size_t> write_at(std::uint64_t offset, std::string_view bytes) override {
    const std::lock_guard lock(disk_->mutex);
    return write(offset, bytes);
  }

  result<std::size_t> append(std::string_view bytes) override {
    const std::lock_guard lock(disk_->mutex);
    return write(file_->content.size(), bytes);
  }

  result<std::uint64_t> size() override {
    const std::lock_guard lock(disk_->mutex);
    const auto fault = begin(disk_operation::size);
    if (fails(fault)) return disk_state::failure(fault, "look at", path_);
    return std::uint64_t{file_->content.size()};
  }

  result<void> truncate(std::uint64_t size) override {
    return resize(disk_operation::truncate, size, "cut");
  }

  result<void> allocate(std::uint64_t size) override {
    return resize(disk_operation::allocate, size, "make room in");
  }

  result<void> sync() override {
    const std::lock_guard lock(disk_->mutex);
    const auto fault = begin(disk_operation::sync);
    if (fails(fault)) {
      if (disk_->on && generation_ == disk_->generation) file_->pending.clear();
      return disk_state::failure(fault, "make durable", path_);
    }
    file_->synced();
    return {};
  }

  result<void> sync_data() override { return sync(); }

 private:
  disk_fault begin(disk_operation operation) {
    if (generation_ != disk_->generation) return disk_fault::io_error;
    return disk_->begin(operation, path_);
  }

  result<std::size_t> write(std::uint64_t offset, std::string_view bytes) {
    const auto fault = begin(disk_operation::write);
    const auto refusal = disk_state::failure(fault, "write to", path_);
    if (!writable_ || fault == disk_fault::io_error || fault == disk_fault::no_space) {
      return refusal;
    }
    if (fault == disk_fault::torn_write || fault == disk_fault::power_cut) {
      disk_change change{offset, std::string(bytes)};
      if (fault == disk_fault::power_cut) {
        file_->change(std::move(change));
        return refusal;
      }
      tear(change);
      return refusal;
    }
    if (fault == disk_fault::short_write && bytes.size() > 1) {
      bytes = bytes.substr(0, bytes.size() / 2);
    }
    const auto length = file_->content.size();
    const auto used = disk_->used();
    const auto room = disk_->capacity > used ? disk_->capacity - used : 0;
    const auto end = offset + bytes.size();
    if (end > length && end - length > room) {
      if (length + room <= offset) {
        return disk_state::failure(disk_fault::no_space, "write to", path_);
      }
      bytes = bytes.substr(0, static_cast<std::size_t>(length + room - offset));
    }
    file_->change({offset, std::string(bytes)});
    return bytes.size();
  }

  /// Some sectors are written, the others stay as they were.
  void tear(const disk_change& whole) {
    std::string torn = file_->content;
    disk_file::write_sectors(whole, torn, disk_->random);
    if (torn.size() < whole.offset) return;
    file_->change({whole.offset, torn.substr(whole.offset, whole.bytes.size())});
  }

  result<void> resize(disk_operation operation, std::uint64_t size, const char* what) {
    const std::lock_guard lock(disk_->mutex);
    const auto fault = begin(operation);
    if (!writable_ || fails(fault)) return disk_state::failure(fault, what, path_);
    const auto length = file_->content.size();
    if (operation == disk_operation::allocate && size <= length) return {};
    const auto used = disk_->used();
    if (size > length && (used > disk_->capacity || size - length > disk_->capacity - used)) {
      return disk_state::failure(disk_fault::no_space, what, path_);
    }
    file_->change({size, {}, true});
    return {};
  }

  std::shared_ptr<disk_state> disk_;
  std::shared_ptr<disk_file> file_;
  std::string path_;
  std::uint64_t generation_;
  bool writable_;
};

class faulty_lock final : public file_lock {
 public:
  faulty_lock(std::shared_ptr<disk_state> disk, std::string path)
      : disk_(std::move(disk)), path_(std::move(path)), generation_(disk_->generation) {}
  ~faulty_lock() override {
    const std::lock_guard lock(disk_->mutex);
    if (generation_ == disk_->generation) disk_->locks.erase(path_);
  }

 private:
  std::shared_ptr<disk_state> disk_;
  std::string path_;
  std::uint64_t generation_;
};

inline error no_such_file(const char* what, const std::string& path) {
  return {{ENOENT, std::system_category()}, "cannot " + std::string(what) + " '" + path + "'"};
}

}  // namespace detail

MILLRACE_DECL result<std::unique_ptr<open_file>> faulty_file_system::open(const std::string& path,
                                                                          file_access access) {
  const std::lock_guard lock(state_->mutex);
  const auto fault = state_->begin(disk_operation::open, path);
  if (detail::fails(fault)) return state::failure(fault, "open", path);
  auto at = state_->names.find(path);
  if (access == file_access::create && at != state_->names.end()) {
    return error{{EEXIST, std::system_category()}, "cannot open '" + path + "'"};
  }
  if (at == state_->names.end()) {
    if (access == file_access::read ||
        state_->directories.count(detail::directory_of_path(path)) == 0) {
      return detail::no_such_file("open", path);
    }
    auto made = std::make_shared<detail::disk_file>();
    state_->change_names({detail::directory_of_path(path), {}, path, made});
    at = state_->names.find(path);
  }
  return std::unique_ptr<open_file>(
      std::make_unique<detail::faulty_file>(state_, at->second, path, access != file_access::read));
}

MILLRACE_DECL result<void> faulty_file_system::rename(const std::string& from,
                                                      const std::string& to) {
  const std::lock_guard lock(state_->mutex);
  const auto fault = state_->begin(disk_operation::rename, from);
  const bool happens = fault == disk_fault::none || fault == disk_fault::power_cut;
  const auto at = state_->names.find(from);
  if (at == state_->names.end()) return detail::no_such_file("rename", from);
  if (happens) state_->change_names({detail::directory_of_path(to), from, to, at->second});
  if (detail::fails(fault)) return state::failure(fault, "rename", from);
  return {};
}

MILLRACE_DECL result<void> faulty_file_system::remove(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  const auto fault = state_->begin(disk_operation::remove, path);
  const bool happens = fault == disk_fault::none || fault == disk_fault::power_cut;
  const auto at = state_->names.find(path);
  if (at == state_->names.end()) return detail::no_such_file("remove", path);
  if (happens) state_->change_names({detail::directory_of_path(path), path, {}, at->second});
  if (detail::fails(fault)) return state::failure(fault, "remove", path);
  return {};
}

MILLRACE_DECL result<bool> faulty_file_system::exists(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  const auto fault = state_->begin(disk_operation::exists, path);
  if (detail::fails(fault)) return state::failure(fault, "look at", path);
  return state_->names.count(path) != 0 || state_->directories.count(path) != 0;
}

MILLRACE_DECL result<std::vector<std::string>> faulty_file_system::list(
    const std::string& directory) {
  const std::lock_guard lock(state_->mutex);
  const auto fault = state_->begin(disk_operation::list, directory);
  if (detail::fails(fault)) return state::failure(fault, "list", directory);
  if (state_->directories.count(directory) == 0) return detail::no_such_file("list", directory);
  std::set<std::string> names;
  for (const auto& [path, file] : state_->names) {
    if (detail::directory_of_path(path) == directory)
      names.insert(path.substr(path.rfind('/') + 1));
  }
  for (const auto& path : state_->directories) {
    if (path != directory && detail::directory_of_path(path) == directory) {
      names.insert(path.substr(path.rfind('/') + 1));
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

MILLRACE_DECL result<void> faulty_file_system::create_directories(const std::string& directory) {
  const std::lock_guard lock(state_->mutex);
  const auto fault = state_->begin(disk_operation::create_directories, directory);
  if (detail::fails(fault)) return state::failure(fault, "make the directory", directory);
  for (auto path = directory; !path.empty() && path != ".";
       path = detail::directory_of_path(path)) {
    state_->directories.insert(path);
  }
  return {};
}

MILLRACE_DECL result<void> faulty_file_system::sync_directory(const std::string& directory) {
  const std::lock_guard lock(state_->mutex);
  const auto fault = state_->begin(disk_operation::sync_directory, directory);
  if (detail::fails(fault)) return state::failure(fault, "make durable the names in", directory);
  for (const auto& change : state_->pending_names) {
    if (change.directory == directory) change.apply(state_->durable_names);
  }
  std::erase_if(state_->pending_names,
                [&](const auto& change) { return change.directory == directory; });
  return {};
}

MILLRACE_DECL result<std::uint64_t> faulty_file_system::space_left(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  const auto fault = state_->begin(disk_operation::space_left, path);
  if (detail::fails(fault)) return state::failure(fault, "look at", path);
  const auto used = state_->used();
  return used < state_->capacity ? state_->capacity - used : std::uint64_t{0};
}

MILLRACE_DECL result<std::unique_ptr<file_lock>> faulty_file_system::lock(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  const auto fault = state_->begin(disk_operation::lock, path);
  if (detail::fails(fault)) return state::failure(fault, "lock", path);
  if (!state_->locks.insert(path).second) {
    return error{errc::unavailable, "'" + path + "' is locked: somebody else writes there"};
  }
  return std::unique_ptr<file_lock>(std::make_unique<detail::faulty_lock>(state_, path));
}

}  // namespace millrace::testing
