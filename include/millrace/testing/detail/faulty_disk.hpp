// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a `faulty_file_system` is made of: files with what is durable and what is not, names in the
/// same two states, and the plan of faults. Callers hold the lock.
#pragma once

#include <millrace/testing/faulty_file_system.hpp>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <utility>

namespace millrace::testing::detail {

/// A change of a file that no sync has made durable.
struct disk_change {
  std::uint64_t offset = 0;
  std::string bytes{};   // written at `offset`, or
  bool resizes = false;  // the file got the size `offset`
};

inline void apply_change(const disk_change& change, std::string& content) {
  if (change.resizes) {
    content.resize(change.offset);
    return;
  }
  const auto end = change.offset + change.bytes.size();
  if (content.size() < end) content.resize(end);
  content.replace(change.offset, change.bytes.size(), change.bytes);
}

struct disk_file {
  std::string content{};  // what reading shows
  std::string durable{};  // what is on the medium
  std::vector<disk_change> pending{};

  void change(disk_change c) {
    apply_change(c, content);
    pending.push_back(std::move(c));
  }
  void synced() {
    for (const auto& c : pending) apply_change(c, durable);
    pending.clear();
  }

  /// The sectors of a write reach the medium one by one, in any order.
  template <class Random>
  void lose_power(Random& random) {
    const auto mood = random() % 4;  // all, nothing, some changes, some sectors
    for (const auto& c : pending) {
      if (mood == 1 || (mood == 2 && random() % 2 == 0)) continue;
      if (mood != 3 || c.resizes) {
        if (mood != 3 || random() % 2 == 0) apply_change(c, durable);
        continue;
      }
      write_sectors(c, durable, random);
    }
    pending.clear();
    content = durable;
  }

  template <class Random>
  static void write_sectors(const disk_change& c, std::string& to, Random& random) {
    constexpr std::uint64_t sector = 512;
    const auto end = c.offset + c.bytes.size();
    for (auto at = c.offset; at < end;) {
      const auto next = std::min(end, (at / sector + 1) * sector);
      if (random() % 2 == 0) apply_change({at, c.bytes.substr(at - c.offset, next - at)}, to);
      at = next;
    }
  }
};

using disk_names = std::map<std::string, std::shared_ptr<disk_file>>;

/// A change of names that no `sync_directory` has made durable.
struct name_change {
  std::string directory{};
  std::string from{};  // empty: made
  std::string to{};    // empty: removed
  std::shared_ptr<disk_file> file{};

  void apply(disk_names& names) const {
    if (!from.empty()) {
      const auto at = names.find(from);
      if (at == names.end() || at->second != file) return;
      names.erase(at);
    }
    if (!to.empty()) names[to] = file;
  }
};

inline std::string directory_of_path(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace millrace::testing::detail

struct millrace::testing::faulty_file_system::state {
  mutable std::mutex mutex;
  detail::disk_names names;
  detail::disk_names durable_names;
  std::vector<detail::name_change> pending_names;
  std::set<std::string> directories;
  std::set<std::string> locks;
  std::vector<step> history;
  std::map<std::size_t, disk_fault> faults;
  std::uint64_t capacity = UINT64_MAX;
  std::uint64_t generation = 0;  // handles of an earlier one are void
  bool on = true;
  std::mt19937_64 random{7};

  std::uint64_t used() const {
    std::uint64_t sum = 0;
    for (const auto& [path, file] : names) sum += file->content.size();
    return sum;
  }

  /// Counts an operation. What happens to it; `io_error` also when there is no power.
  disk_fault begin(disk_operation operation, const std::string& path) {
    if (!on) return disk_fault::io_error;
    const auto planned = faults.find(history.size());
    history.push_back({operation, path});
    if (planned == faults.end() || !can_fail(operation, planned->second)) return disk_fault::none;
    if (planned->second == disk_fault::power_cut) on = false;
    return planned->second;
  }

  void change_names(detail::name_change change) {
    change.apply(names);
    pending_names.push_back(std::move(change));
  }

  static error failure(disk_fault fault, const char* what, const std::string& path) {
    const int number = fault == disk_fault::no_space ? ENOSPC : EIO;
    return {{number, std::system_category()}, "cannot " + std::string(what) + " '" + path + "'"};
  }
};
