// SPDX-License-Identifier: Apache-2.0
/// \file
/// A connection to a database, as the SQL sinks need it: calls that block, made by one thread at a
/// time. One implementation per database; `interrupt` may be called by any thread.
#pragma once

#include <millrace/connectors/sql/column.hpp>
#include <millrace/connectors/sql/options.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace millrace::sql {

/// What became of a call.
enum class outcome : std::uint8_t {
  ok,
  again,    ///< it may work later on the same connection: locked, disk full, deadlock
  lost,     ///< it may work later on a new connection
  missing,  ///< a table is not there
  unfit,    ///< the data is at fault: a constraint, a value out of range
  refused,  ///< it will never work: permissions, names, types
};

struct status {
  sql::outcome outcome = sql::outcome::ok;
  std::string message{};  ///< in the database's words

  bool ok() const noexcept { return outcome == sql::outcome::ok; }
};

/// Rows of text, and how many rows a statement changed.
struct answer {
  std::vector<std::vector<std::string>> rows{};
  std::int64_t changed = 0;
};

/// A row that the database will never take.
struct refused_row {
  row what{};
  std::string reason{};
};

/// Which rows are to be inserted, and how.
struct table_shape {
  std::vector<column> columns{};
  table_options table{};
};

class database {
 public:
  database() = default;
  database(const database&) = delete;
  database& operator=(const database&) = delete;
  virtual ~database() = default;

  /// Makes a new connection, whatever was before.
  virtual status connect() = 0;
  virtual bool connected() const noexcept = 0;

  /// Begins a transaction that writes, and checks constraints at once.
  virtual status begin() = 0;

  /// Runs one statement. Parameters are $1, $2, ... and appear in that order.
  virtual status execute(const char* statement, std::span<const std::string> values = {},
                         answer* into = nullptr) = 0;

  /// Gets ready to insert such rows: looks whether the table has the columns, or makes it. Outside
  /// of a transaction. `shape` stays valid until the next call.
  virtual status use(const table_shape& shape) = 0;

  /// Inserts rows inside the transaction; those that the database will never take are left out and
  /// reported, and the transaction goes on.
  virtual status insert(std::span<const row> rows, std::vector<refused_row>& refused) = 0;

  /// Makes a call under way, and all that follow, return soon. Any thread.
  virtual void interrupt() noexcept = 0;
};

}  // namespace millrace::sql
