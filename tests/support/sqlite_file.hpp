// SPDX-License-Identifier: Apache-2.0
/// \file
/// Looks into an SQLite database with a connection of its own. Not thread safe.
#pragma once

#include <sqlite3.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace millrace::testing {

class sqlite_file {
 public:
  explicit sqlite_file(const std::string& path) {
    if (sqlite3_open(path.c_str(), &handle_) != SQLITE_OK) {
      throw std::runtime_error("cannot open " + path);
    }
    sqlite3_busy_timeout(handle_, 10'000);
  }
  sqlite_file(const sqlite_file&) = delete;
  sqlite_file& operator=(const sqlite_file&) = delete;
  ~sqlite_file() { sqlite3_close(handle_); }

  /// The rows of a statement, each with its values joined by '|'; NULL is empty.
  /// \throws std::runtime_error with SQLite's message
  std::vector<std::string> rows(const std::string& statement) {
    std::vector<std::string> all;
    char* problem = nullptr;
    const auto each = [](void* into, int columns, char** values, char**) {
      std::string row;
      for (int i = 0; i < columns; ++i) {
        row += (i == 0 ? "" : "|") + std::string(values[i] == nullptr ? "" : values[i]);
      }
      static_cast<std::vector<std::string>*>(into)->push_back(row);
      return 0;
    };
    if (sqlite3_exec(handle_, statement.c_str(), each, &all, &problem) != SQLITE_OK) {
      const std::string text = problem == nullptr ? "?" : problem;
      sqlite3_free(problem);
      throw std::runtime_error(text);
    }
    return all;
  }
  void run(const std::string& statement) { rows(statement); }
  std::string value(const std::string& statement) {
    const auto all = rows(statement);
    return all.empty() ? std::string{} : all[0];
  }

 private:
  sqlite3* handle_ = nullptr;
};

}  // namespace millrace::testing
