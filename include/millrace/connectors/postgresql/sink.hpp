// SPDX-License-Identifier: Apache-2.0
/// \file
/// A sink that writes records into a table of a PostgreSQL database (12 or later). Part of the
/// component `millrace::postgresql`, which needs libpq. The description may be copied to any
/// thread; the writer belongs to one worker, and talks to the server on a thread of its own.
#pragma once

#include <millrace/connectors/sql/table_writer.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace millrace::postgresql {

struct sink_options {
  /// libpq's connection string: "postgresql://user@host/database?sslmode=verify-full" or
  /// "host=... dbname=..."; what is missing comes from PGHOST, PGPASSWORD, ~/.pgpass and so on.
  std::string connection{};
  sql::table_options table{};
  sql::delivery_options delivery{};
  std::size_t rows_per_insert = 1000;  ///< rows in one statement; also about 1 MiB
  std::chrono::nanoseconds timeout = std::chrono::seconds{60};  ///< of one statement
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds{10};
  std::vector<std::string> on_connect{};  ///< statements run first: {"SET search_path TO city"}
};

/// The connection; nothing is opened yet.
MILLRACE_DECL std::unique_ptr<sql::database> make_database(const sink_options& options);

/// Records as rows, a described struct's members as the columns of those names.
///
///     p.to("scores", postgresql::sink<score>{{.connection = "postgresql://localhost/city",
///                                             .table = {.name = "scores",
///                                                       .key = {"station", "minute"}}}});
///
/// Under checkpoints exactly once: rows appear in one transaction with the id of the checkpoint
/// that holds them (table `millrace_checkpoint`), when that checkpoint is durable. The server needs
/// no settings of its own. Otherwise at least once, in batches. A server that is down, starts, is
/// out of connections or disk, a deadlock: tried again, with back-off, for ever; meanwhile
/// back-pressure. Rows that the table refuses are found by halving the statement they are in, and
/// are dead letters with the server's reason.
///
/// Types: values are cast to the types of the table's columns, so text goes into uuid, jsonb or an
/// enumeration, too. Tables that the sink makes have boolean, bigint, numeric(20) (64 bits without
/// sign), double precision, text, bytea, timestamptz and jsonb.
/// Metrics: records, delivered, transactions, rejected, retries, pending_bytes, failing.
template <sql::table_record T>
class sink {
 public:
  explicit sink(sink_options options) : options_(std::move(options)) {}

  /// \throws topology_error for options that cannot work
  sql::record_writer<T> open(sink_context& context) const {
    return {context, "postgresql::sink", options_.table, options_.delivery,
            make_database(options_)};
  }

 private:
  sink_options options_;
};

}  // namespace millrace::postgresql

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/postgresql/impl/database.ipp>
#endif
