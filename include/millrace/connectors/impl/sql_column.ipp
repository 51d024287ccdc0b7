// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/json_writer.hpp>
#include <millrace/connectors/sql/column.hpp>

#include <cstddef>

namespace millrace::sql {

MILLRACE_DECL std::string_view name_of(column_type type) noexcept {
  switch (type) {
    case column_type::boolean: return "boolean";
    case column_type::integer: return "integer";
    case column_type::unsigned_integer: return "unsigned integer";
    case column_type::real: return "floating-point number";
    case column_type::text: return "text";
    case column_type::bytes: return "bytes";
    case column_type::time: return "time";
    case column_type::json: return "JSON";
  }
  return "?";
}

MILLRACE_DECL cell read_cell(snapshot_reader& from) {
  cell value;
  const auto kind = from.number<std::uint8_t>();
  if (kind > static_cast<std::uint8_t>(cell_kind::time)) from.fail("an unknown kind of cell");
  if (from.failed()) return value;
  value.kind = static_cast<cell_kind>(kind);
  switch (value.kind) {
    case cell_kind::integer:
    case cell_kind::time: value.integer = from.number<std::int64_t>(); break;
    case cell_kind::natural: value.natural = from.number<std::uint64_t>(); break;
    case cell_kind::real: value.real = from.number<double>(); break;
    case cell_kind::text: value.text = from.text(); break;
    default: break;
  }
  return value;
}

MILLRACE_DECL bool split_rows(std::string_view bytes, std::size_t columns, std::vector<row>& out) {
  snapshot_reader from(bytes);
  while (from.remaining() != 0) {
    const auto length = from.number<std::uint32_t>();
    const auto time = from.number<std::int64_t>();
    const auto cells = from.raw(length);
    snapshot_reader inside(cells);
    for (std::size_t i = 0; i < columns; ++i) read_cell(inside);
    inside.expect_end();
    if (from.failed() || inside.failed()) return false;
    out.push_back({timestamp{duration{time}}, cells});
  }
  return true;
}

MILLRACE_DECL std::string to_json(std::span<const column> columns, std::string_view cells) {
  std::string text;
  json_writer out(text);
  snapshot_reader from(cells);
  out.begin_object();
  for (const auto& c : columns) {
    const auto value = read_cell(from);
    out.key(c.name);
    switch (value.kind) {
      case cell_kind::null: out.null(); break;
      case cell_kind::no: out.value(false); break;
      case cell_kind::yes: out.value(true); break;
      case cell_kind::integer: out.value(value.integer); break;
      case cell_kind::natural: out.value(value.natural); break;
      case cell_kind::real: out.value(value.real); break;
      case cell_kind::time: out.value(timestamp{duration{value.integer}}); break;
      case cell_kind::text:
        if (c.type == column_type::json) {
          out.raw(value.text);
        } else {
          out.value(value.text);
        }
        break;
    }
  }
  out.end_object();
  return text;
}

}  // namespace millrace::sql
