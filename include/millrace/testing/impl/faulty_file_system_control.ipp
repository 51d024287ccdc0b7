// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/testing/detail/faulty_disk.hpp>
#include <millrace/testing/faulty_file_system.hpp>

namespace millrace::testing {

MILLRACE_DECL bool can_fail(disk_operation operation, disk_fault fault) noexcept {
  using op = disk_operation;
  switch (fault) {
    case disk_fault::none: return false;
    case disk_fault::io_error:
    case disk_fault::power_cut: return true;
    case disk_fault::no_space:
      return operation == op::open || operation == op::write || operation == op::truncate ||
             operation == op::allocate || operation == op::sync || operation == op::rename ||
             operation == op::create_directories || operation == op::sync_directory ||
             operation == op::lock;
    case disk_fault::short_write:
    case disk_fault::torn_write: return operation == op::write;
    case disk_fault::bit_flip: return operation == op::read;
  }
  return false;
}

MILLRACE_DECL const char* name_of(disk_operation operation) noexcept {
  switch (operation) {
    case disk_operation::open: return "open";
    case disk_operation::read: return "read";
    case disk_operation::write: return "write";
    case disk_operation::size: return "size";
    case disk_operation::truncate: return "truncate";
    case disk_operation::allocate: return "allocate";
    case disk_operation::sync: return "sync";
    case disk_operation::rename: return "rename";
    case disk_operation::remove: return "remove";
    case disk_operation::exists: return "exists";
    case disk_operation::list: return "list";
    case disk_operation::create_directories: return "create_directories";
    case disk_operation::sync_directory: return "sync_directory";
    case disk_operation::space_left: return "space_left";
    case disk_operation::lock: return "lock";
  }
  return "?";
}

MILLRACE_DECL const char* name_of(disk_fault fault) noexcept {
  switch (fault) {
    case disk_fault::none: return "none";
    case disk_fault::io_error: return "io_error";
    case disk_fault::no_space: return "no_space";
    case disk_fault::short_write: return "short_write";
    case disk_fault::torn_write: return "torn_write";
    case disk_fault::bit_flip: return "bit_flip";
    case disk_fault::power_cut: return "power_cut";
  }
  return "?";
}

MILLRACE_DECL faulty_file_system::faulty_file_system() : state_(std::make_shared<state>()) {}
MILLRACE_DECL faulty_file_system::~faulty_file_system() = default;

MILLRACE_DECL void faulty_file_system::plan(std::size_t number, disk_fault fault) {
  const std::lock_guard lock(state_->mutex);
  state_->faults[number] = fault;
}

MILLRACE_DECL void faulty_file_system::forget_plans() {
  const std::lock_guard lock(state_->mutex);
  state_->faults.clear();
}

MILLRACE_DECL std::size_t faulty_file_system::operations() const {
  const std::lock_guard lock(state_->mutex);
  return state_->history.size();
}

MILLRACE_DECL std::vector<faulty_file_system::step> faulty_file_system::history() const {
  const std::lock_guard lock(state_->mutex);
  return state_->history;
}

MILLRACE_DECL void faulty_file_system::set_capacity(std::uint64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->capacity = bytes;
}

MILLRACE_DECL void faulty_file_system::cut_power() {
  const std::lock_guard lock(state_->mutex);
  state_->on = false;
}

MILLRACE_DECL bool faulty_file_system::powered() const {
  const std::lock_guard lock(state_->mutex);
  return state_->on;
}

MILLRACE_DECL void faulty_file_system::restart(std::uint64_t seed) {
  const std::lock_guard lock(state_->mutex);
  std::mt19937_64 random(seed);
  // Mostly a beginning of the changes has survived, as journaling file systems have it; sometimes
  // any of them, which POSIX allows.
  const auto mood = random() % 4;
  auto rest =
      mood == 3 ? state_->pending_names.size() : random() % (state_->pending_names.size() + 1);
  for (const auto& change : state_->pending_names) {
    if (rest == 0) break;
    --rest;
    if (mood != 3 || random() % 2 == 0) change.apply(state_->durable_names);
  }
  state_->pending_names.clear();
  state_->names = state_->durable_names;
  std::set<detail::disk_file*> done;
  for (const auto& [path, file] : state_->names) {
    if (done.insert(file.get()).second) file->lose_power(random);
  }
  state_->locks.clear();
  state_->faults.clear();
  ++state_->generation;
  state_->on = true;
}

MILLRACE_DECL void faulty_file_system::restart_process() {
  const std::lock_guard lock(state_->mutex);
  state_->locks.clear();
  ++state_->generation;
}

MILLRACE_DECL std::string faulty_file_system::content(const std::string& path) const {
  const std::lock_guard lock(state_->mutex);
  const auto at = state_->names.find(path);
  return at == state_->names.end() ? std::string{} : at->second->content;
}

MILLRACE_DECL void faulty_file_system::put(const std::string& path, std::string_view bytes) {
  const std::lock_guard lock(state_->mutex);
  auto file = std::make_shared<detail::disk_file>();
  file->content = bytes;
  file->durable = bytes;
  state_->names[path] = file;
  state_->durable_names[path] = file;
  auto above = path;
  while ((above = detail::directory_of_path(above)) != "." && !above.empty()) {
    state_->directories.insert(above);
  }
}

MILLRACE_DECL void faulty_file_system::erase(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  state_->names.erase(path);
  state_->durable_names.erase(path);
}

MILLRACE_DECL void faulty_file_system::flip(const std::string& path, std::uint64_t offset,
                                            unsigned char mask) {
  const std::lock_guard lock(state_->mutex);
  const auto at = state_->names.find(path);
  if (at == state_->names.end()) return;
  for (auto* bytes : {&at->second->content, &at->second->durable}) {
    if (offset < bytes->size()) (*bytes)[offset] = static_cast<char>((*bytes)[offset] ^ mask);
  }
}

MILLRACE_DECL std::vector<std::string> faulty_file_system::files() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::string> paths;
  for (const auto& [path, file] : state_->names) paths.push_back(path);
  return paths;
}

}  // namespace millrace::testing
