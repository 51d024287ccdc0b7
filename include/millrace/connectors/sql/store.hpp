// SPDX-License-Identifier: Apache-2.0
/// \file
/// The transactions of an SQL sink: rows, and in the same transaction the id of the checkpoint that
/// holds them (docs/decisions/0050-sql-sinks.md). All calls block; one thread at a time, but for
/// `interrupt`.
#pragma once

#include <millrace/connectors/sql/database.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace millrace::sql {

/// Rows between two barriers, or a batch. Immutable when it is shared with the other thread.
struct row_group {
  std::uint64_t id = 0;  ///< of the checkpoint that holds them; 0: none
  std::shared_ptr<const table_shape> shape{};
  std::size_t rows = 0;
  std::string bytes{};  ///< see `split_rows`
};

/// Whose position it is, and where it should stand.
struct position_claim {
  std::string pipeline{};
  std::string sink{};
  std::string lineage{};      ///< made up when a pipeline starts from nothing; empty: no position
  std::string owner{};        ///< made up at every start: whoever came last may write
  bool restored = false;      ///< the lineage is that of a checkpoint
  std::uint64_t id = 0;       ///< of that checkpoint
  std::uint64_t emitted = 0;  ///< dead letters up to this id have been emitted
  position_conflict conflict = position_conflict::fail;
};

struct dead_row {
  std::string reason{};
  std::string payload{};
  timestamp time{};
};

/// What a call has brought about.
struct write_report {
  sql::status status{};
  std::uint64_t position = 0;    ///< in the database now; 0: none
  std::size_t rows = 0;          ///< written
  std::vector<dead_row> dead{};  ///< committed as dead letters
  std::string note{};            ///< for the log; empty: nothing
};

class store {
 public:
  MILLRACE_DECL store(std::unique_ptr<database> connection, position_claim claim);

  /// Connects, takes the position, and looks at the table. To be called until it succeeds.
  MILLRACE_DECL write_report open(const std::shared_ptr<const table_shape>& shape);

  /// Writes groups of one shape in one transaction, which takes the position to `target` (0: no
  /// position). A transaction that turns out to be in the database already is not repeated.
  /// Afterwards dead letters up to `safe` are forgotten. To be called until it succeeds.
  MILLRACE_DECL write_report write(std::span<const std::shared_ptr<const row_group>> groups,
                                   std::uint64_t target, std::uint64_t safe);

  /// For another store with another claim, before `open`.
  std::unique_ptr<database> take_connection() noexcept { return std::move(connection_); }

  /// Makes a call under way return soon. Any thread.
  void interrupt() noexcept { connection_->interrupt(); }

 private:
  bool has_position() const noexcept { return !claim_.lineage.empty(); }
  status make_tables();
  status claim_fresh(write_report& report);
  status claim_restored(write_report& report);
  status settle_conflict(const answer& found, write_report& report);
  status ready(const std::shared_ptr<const table_shape>& shape);
  status run(const char* statement, std::vector<std::string> values = {}, answer* into = nullptr);
  status write_rows(std::span<const std::shared_ptr<const row_group>> groups, std::uint64_t target,
                    std::uint64_t safe, write_report& report);
  status keep_dead(std::uint64_t target, const std::vector<dead_row>& dead);
  status read_dead(std::uint64_t above, std::vector<dead_row>& into);
  template <class Work>
  status transaction(Work&& work);

  std::unique_ptr<database> connection_;
  position_claim claim_;
  std::shared_ptr<const table_shape> used_;  // what the connection is ready for
  std::uint64_t position_ = 0;
  bool claimed_ = false;
  bool has_dead_ = false;  // in the database
};

}  // namespace millrace::sql

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/sql_store.ipp>
#endif
