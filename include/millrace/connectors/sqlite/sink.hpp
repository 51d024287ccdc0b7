// SPDX-License-Identifier: Apache-2.0
/// \file
/// A sink that writes records into a table of an SQLite database (3.26 or later). Part of the
/// component `millrace::sqlite`, which needs libsqlite3. The description may be copied to any
/// thread; the writer belongs to one worker, and calls SQLite on a thread of its own.
#pragma once

#include <millrace/connectors/sql/table_writer.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace millrace::sqlite {

/// How the database keeps its journal; the file remembers it.
enum class journal_mode : std::uint8_t {
  wal,      ///< write-ahead log: readers do not wait for the writer
  as_it_is  ///< what the file has: a rollback journal unless somebody changed it
};

struct sink_options {
  std::string path{};  ///< of the database; made if it is not there
  sql::table_options table{};
  sql::delivery_options delivery{};
  journal_mode journal = journal_mode::wal;
  std::vector<std::string> on_connect{};  ///< statements run first: {"PRAGMA foreign_keys = on"}
};

/// The connection; nothing is opened yet.
MILLRACE_DECL std::unique_ptr<sql::database> make_database(const sink_options& options);

/// Records as rows, a described struct's members as the columns of those names.
///
///     p.to("scores", sqlite::sink<score>{{.path = "scores.db",
///                                         .table = {.name = "scores", .key = {"station"}}}});
///
/// Under checkpoints exactly once: rows appear in one transaction with the id of the checkpoint
/// that holds them (table `millrace_checkpoint`), when that checkpoint is durable. Otherwise at
/// least once, in batches. A locked database or a full disk is tried again, with back-off, for
/// ever; meanwhile back-pressure. Rows that the table refuses are dead letters with SQLite's
/// reason.
///
/// Types: numbers, bool, durations (their count) and times (microseconds since 1970) are INTEGER or
/// REAL, text and enumerations TEXT, bytes BLOB, everything nested JSON in TEXT. NaN is NULL.
/// Metrics: records, delivered, transactions, rejected, retries, pending_bytes, failing.
template <sql::table_record T>
class sink {
 public:
  explicit sink(sink_options options) : options_(std::move(options)) {}

  /// \throws topology_error for options that cannot work
  sql::record_writer<T> open(sink_context& context) const {
    return {context, "sqlite::sink", options_.table, options_.delivery, make_database(options_)};
  }

 private:
  sink_options options_;
};

}  // namespace millrace::sqlite

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/sqlite/impl/database.ipp>
#endif
