// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/sql/options.hpp>

#include <algorithm>

namespace millrace::sql {

MILLRACE_DECL std::string quoted(std::string_view identifier) {
  std::string out = "\"";
  for (const char c : identifier) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

MILLRACE_DECL std::string quoted_name(std::string_view name) {
  const auto dot = name.find('.');
  if (dot == std::string_view::npos) return quoted(name);
  return quoted(name.substr(0, dot)) + "." + quoted(name.substr(dot + 1));
}

MILLRACE_DECL result<void> validate(const table_options& table, const delivery_options& delivery,
                                    std::span<const column> columns) {
  const auto bad = [](std::string text) {
    return result<void>(errc::out_of_range, std::move(text));
  };
  const auto known = [&](std::string_view name) {
    return std::any_of(columns.begin(), columns.end(),
                       [&](const column& c) { return c.name == name; });
  };
  if (table.name.empty()) return bad("table.name must not be empty");
  if (table.name.find('\0') != std::string::npos) return bad("table.name contains a null");
  for (const auto& k : table.key) {
    if (!known(k) && k != table.time_column) {
      return bad("table.key: the record has no member \"" + k + "\"");
    }
  }
  if (!table.time_column.empty() && known(table.time_column)) {
    return bad("table.time_column: the record has a member \"" + table.time_column + "\" already");
  }
  if (delivery.batch_rows == 0 || delivery.batch_bytes == 0 || delivery.max_bytes == 0) {
    return bad("delivery.batch_rows, batch_bytes and max_bytes must not be 0");
  }
  if (delivery.batch_age.count() <= 0) return bad("delivery.batch_age must be more than 0");
  if (const auto valid = net::validate(delivery.backoff); !valid) {
    return bad("delivery.backoff: " + valid.error().message);
  }
  return {};
}

}  // namespace millrace::sql
