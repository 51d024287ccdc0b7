// SPDX-License-Identifier: Apache-2.0
/// \file
/// Columns of a table, and rows as bytes: what the SQL sinks keep until a transaction takes it, in
/// memory and in checkpoints. Free functions may be called from any thread.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>
#include <millrace/operators/sink.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::sql {

/// What a column holds, whatever a database calls it. Stored in checkpoints: only append.
enum class column_type : std::uint8_t {
  boolean,
  integer,           ///< 64 bits
  unsigned_integer,  ///< up to 2^64 - 1, where the database has a type for it
  real,
  text,
  bytes,
  time,  ///< a point in time in microseconds
  json,  ///< text that is JSON
};

/// In words, as messages have them: "integer".
MILLRACE_DECL std::string_view name_of(column_type type) noexcept;

struct column {
  std::string name{};
  column_type type = column_type::text;
  bool nullable = false;

  friend bool operator==(const column&, const column&) = default;
};

/// What stands in a cell. Stored in checkpoints: only append.
enum class cell_kind : std::uint8_t { null, no, yes, integer, natural, real, text, time };

/// One value of a row; `text` points into the row.
struct cell {
  cell_kind kind = cell_kind::null;
  std::int64_t integer = 0;  ///< also microseconds since 1970
  std::uint64_t natural = 0;
  double real = 0;
  std::string_view text{};  ///< of texts, bytes and JSON
};

/// Appends cells to a row, in the order of the columns.
class cell_writer {
 public:
  explicit cell_writer(snapshot_writer& out) noexcept : out_(&out) {}

  void null() { kind(cell_kind::null); }
  void boolean(bool value) { kind(value ? cell_kind::yes : cell_kind::no); }
  void integer(std::int64_t value) {
    kind(cell_kind::integer);
    out_->number(value);
  }
  void natural(std::uint64_t value) {
    kind(cell_kind::natural);
    out_->number(value);
  }
  void real(double value) {
    kind(cell_kind::real);
    out_->number(value);
  }
  void text(std::string_view value) {
    kind(cell_kind::text);
    out_->text(value);
  }
  void time(timestamp value) {
    kind(cell_kind::time);
    out_->number(value.time_since_epoch().count());
  }

 private:
  void kind(cell_kind k) { out_->number(static_cast<std::uint8_t>(k)); }

  snapshot_writer* out_;
};

/// A row, and the event time of its record; `cells` points into the rows it was read from.
struct row {
  timestamp time{};
  std::string_view cells{};
};

/// Reads the next cell; the reader fails where the bytes are none.
MILLRACE_DECL cell read_cell(snapshot_reader& from);

/// Takes rows apart that were put down as `length (32 bits), time (64 bits), cells`. False when the
/// bytes are no rows of so many columns. O(bytes).
MILLRACE_DECL bool split_rows(std::string_view bytes, std::size_t columns, std::vector<row>& out);

/// A row as a JSON object, for dead letters.
MILLRACE_DECL std::string to_json(std::span<const column> columns, std::string_view cells);

}  // namespace millrace::sql

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/sql_column.ipp>
#endif
