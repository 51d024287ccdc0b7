// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the options of all SQL sinks have in common. Plain values.
#pragma once

#include <millrace/base/background_jobs.hpp>
#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>
#include <millrace/connectors/sql/column.hpp>
#include <millrace/net/backoff.hpp>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace millrace::sql {

/// What a table that is not there means.
enum class missing_table : std::uint8_t {
  fail,    ///< the pipeline fails
  create,  ///< it is made, with `key` as its primary key
};

/// What happens to a row whose key is in the table already.
enum class existing_row : std::uint8_t {
  replace,  ///< the later one counts
  keep,     ///< the earlier one counts
};

struct table_options {
  std::string name{};              ///< "scores" or "schema.scores"
  std::vector<std::string> key{};  ///< columns; empty: rows are only added. A table that is there
                                   ///< needs a unique index on them
  existing_row existing = existing_row::replace;
  missing_table missing = missing_table::fail;
  std::string time_column{};  ///< one more column, for the record's event time; empty: none
};

/// What the sink promises.
enum class delivery : std::uint8_t {
  exactly_once,   ///< under checkpoints: rows appear with the checkpoint that holds them.
                  ///< Without checkpoints: as below
  at_least_once,  ///< rows appear in batches; after a crash some may be written again
};

/// When the position in the database does not belong to the checkpoint that is restored: the
/// database was replaced, or the checkpoint is older than the last transaction.
enum class position_conflict : std::uint8_t {
  fail,       ///< the pipeline fails, and says what it found
  take_over,  ///< go on; rows may be repeated
};

struct delivery_options {
  delivery mode = delivery::exactly_once;
  position_conflict conflict = position_conflict::fail;

  /// A batch at least once: written when it has so many rows, bytes, or is so old.
  std::size_t batch_rows = 5000;
  std::size_t batch_bytes = std::size_t{1} << 20;
  std::chrono::nanoseconds batch_age = std::chrono::seconds{1};

  /// Rows kept in memory. At half of it a checkpoint is asked for, at the whole back-pressure
  /// begins; while barriers have to come through it may be twice as much, and what is on its way.
  std::size_t max_bytes = std::size_t{64} << 20;

  net::backoff_options backoff{.shortest = std::chrono::milliseconds{20},
                               .initial = std::chrono::milliseconds{200},
                               .longest = std::chrono::seconds{10}};
  job_place place = job_place::own_thread;  ///< of the database's calls; `caller` in simulations
};

/// Whether the options make sense for these columns; the error names the member and the fix.
MILLRACE_DECL result<void> validate(const table_options& table, const delivery_options& delivery,
                                    std::span<const column> columns);

/// A name of one or two parts, "schema.scores", in quotation marks.
MILLRACE_DECL std::string quoted_name(std::string_view name);

/// One identifier in quotation marks, those inside doubled (SQL-92, 5.2).
MILLRACE_DECL std::string quoted(std::string_view identifier);

}  // namespace millrace::sql

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/sql_options.ipp>
#endif
