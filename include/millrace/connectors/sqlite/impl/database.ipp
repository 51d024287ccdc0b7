// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/sqlite/sink.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <limits>
#include <mutex>
#include <string_view>

namespace millrace::sqlite {

namespace detail {

/// What a result code means for a transaction (sqlite.org/rescode.html).
inline sql::outcome outcome_of(int code) noexcept {
  switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return sql::outcome::ok;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT:
    case SQLITE_SCHEMA: return sql::outcome::again;
    case SQLITE_IOERR: return sql::outcome::lost;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG: return sql::outcome::unfit;
    default: return sql::outcome::refused;
  }
}

inline const char* declared_type(sql::column_type type) noexcept {
  switch (type) {
    case sql::column_type::boolean: return "BOOLEAN";
    case sql::column_type::integer:
    case sql::column_type::unsigned_integer:
    case sql::column_type::time: return "INTEGER";
    case sql::column_type::real: return "REAL";
    case sql::column_type::bytes: return "BLOB";
    case sql::column_type::text:
    case sql::column_type::json: break;
  }
  return "TEXT";
}

/// Whether a column of that declared type keeps such values as they are (sqlite.org/datatype3.html,
/// section 3.1, the rules of affinity).
inline bool keeps(std::string declared, sql::column_type type) {
  std::transform(declared.begin(), declared.end(), declared.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  const auto has = [&](std::string_view part) { return declared.find(part) != std::string::npos; };
  const bool textual = type == sql::column_type::text || type == sql::column_type::json;
  if (has("INT")) return !textual && type != sql::column_type::bytes;
  if (has("CHAR") || has("CLOB") || has("TEXT")) return textual;
  if (has("BLOB") || declared.empty() || declared == "ANY") return true;
  return !textual && type != sql::column_type::bytes;
}

class connection final : public sql::database {
 public:
  explicit connection(const sink_options& options) : options_(options) {}
  ~connection() override { close(); }

  bool connected() const noexcept override { return handle_ != nullptr; }
  sql::status begin() override { return execute("BEGIN IMMEDIATE", {}, nullptr); }

  sql::status connect() override {
    close();
    if (stopped_) return {sql::outcome::lost, "given up"};
    sqlite3* handle = nullptr;
    const int code = sqlite3_open_v2(options_.path.c_str(), &handle,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    {
      const std::lock_guard lock(mutex_);
      handle_ = handle;
    }
    auto result = check(code, "cannot be opened");
    if (result.ok()) {
      sqlite3_extended_result_codes(handle_, 1);
      // Long enough for another writer's ordinary transaction; the sink's back-off does the rest.
      sqlite3_busy_timeout(handle_, 200);
    }
    if (result.ok() && options_.journal == journal_mode::wal) {
      result = execute("PRAGMA journal_mode = WAL", {}, nullptr);
    }
    // Less would lose the last transactions with the power, and with them exactly once.
    if (result.ok()) result = execute("PRAGMA synchronous = FULL", {}, nullptr);
    for (const auto& statement : options_.on_connect) {
      if (result.ok()) result = execute(statement.c_str(), {}, nullptr);
    }
    if (!result.ok()) close();
    return result;
  }

  sql::status execute(const char* statement, std::span<const std::string> values,
                      sql::answer* into) override {
    sqlite3_stmt* prepared = nullptr;
    int code = sqlite3_prepare_v2(handle_, statement, -1, &prepared, nullptr);
    for (std::size_t i = 0; code == SQLITE_OK && i < values.size(); ++i) {
      code = sqlite3_bind_text64(prepared, static_cast<int>(i) + 1, values[i].data(),
                                 values[i].size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    while (code == SQLITE_OK || code == SQLITE_ROW) {
      code = sqlite3_step(prepared);
      if (code != SQLITE_ROW || into == nullptr) continue;
      auto& row = into->rows.emplace_back();
      for (int i = 0; i < sqlite3_column_count(prepared); ++i) {
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(prepared, i));
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(prepared, i));
        row.emplace_back(text == nullptr ? "" : text, text == nullptr ? 0 : size);
      }
    }
    if (into != nullptr) into->changed = sqlite3_changes(handle_);
    auto result = check(code, "");
    sqlite3_finalize(prepared);
    return settled(std::move(result));
  }

  sql::status use(const sql::table_shape& shape) override {
    forget_insert();
    shape_ = &shape;
    const std::string look =
        "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden "
        "FROM pragma_table_xinfo($1" +
        std::string(schema().empty() ? ")" : ", $2)");
    std::vector<std::string> names{table()};
    if (!schema().empty()) names.push_back(schema());
    sql::answer found;
    auto result = execute(look.c_str(), names, &found);
    if (result.ok() && found.rows.empty()) {
      result = make_table();
      if (result.ok()) result = execute(look.c_str(), names, &found);
    }
    if (result.ok()) result = fits(found);
    if (!result.ok()) return result;
    const int code = sqlite3_prepare_v3(handle_, insert_statement().c_str(), -1,
                                        SQLITE_PREPARE_PERSISTENT, &insert_, nullptr);
    return check(code, "rows cannot be inserted");
  }

  sql::status insert(std::span<const sql::row> rows,
                     std::vector<sql::refused_row>& refused) override {
    for (const auto& r : rows) {
      const auto why = bind(r);
      auto result =
          why.empty() ? check(sqlite3_step(insert_), "") : sql::status{sql::outcome::unfit, why};
      sqlite3_reset(insert_);
      if (result.outcome == sql::outcome::unfit) {
        if (sqlite3_get_autocommit(handle_) != 0) {
          return {sql::outcome::refused,
                  result.message + " (and a trigger has rolled the transaction back)"};
        }
        refused.push_back({r, "sqlite: " + result.message});
      } else if (!result.ok()) {
        return settled(std::move(result));
      }
    }
    return {};
  }

  void interrupt() noexcept override {
    stopped_ = true;
    const std::lock_guard lock(mutex_);
    if (handle_ != nullptr) sqlite3_interrupt(handle_);
  }

 private:
  std::string schema() const {
    const auto& name = shape_->table.name;
    const auto dot = name.find('.');
    return dot == std::string::npos ? std::string{} : name.substr(0, dot);
  }
  std::string table() const {
    const auto& name = shape_->table.name;
    const auto dot = name.find('.');
    return dot == std::string::npos ? name : name.substr(dot + 1);
  }

  void close() noexcept {
    forget_insert();
    sqlite3* handle = nullptr;
    {
      const std::lock_guard lock(mutex_);
      handle = std::exchange(handle_, nullptr);
    }
    sqlite3_close(handle);
  }

  void forget_insert() noexcept { sqlite3_finalize(std::exchange(insert_, nullptr)); }

  /// A connection whose file could not be read or written is not to be trusted.
  sql::status settled(sql::status result) {
    if (result.outcome == sql::outcome::lost) close();
    return result;
  }

  sql::status check(int code, const char* what) const {
    const auto outcome = outcome_of(code);
    if (outcome == sql::outcome::ok) return {};
    const std::string text = handle_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle_);
    if (outcome == sql::outcome::unfit) return {outcome, text};
    sql::status result{outcome, options_.path + ": " + (*what == '\0' ? "" : what)};
    if (*what != '\0') result.message += ": ";
    result.message += text;
    if (text.starts_with("no such table")) result.outcome = sql::outcome::missing;
    if (stopped_) result.outcome = sql::outcome::again;
    return result;
  }

  sql::status make_table() {
    const auto& t = shape_->table;
    if (t.missing == sql::missing_table::fail) {
      return {sql::outcome::refused, options_.path + ": there is no table \"" + t.name +
                                         "\"; make it, or set table.missing = create"};
    }
    std::string text = "CREATE TABLE IF NOT EXISTS " + sql::quoted_name(t.name) + " (";
    for (const auto& c : shape_->columns) {
      if (text.back() != '(') text += ", ";
      text += sql::quoted(c.name) + " " + declared_type(c.type);
      // A real may be NaN, which becomes NULL.
      if (!c.nullable && c.type != sql::column_type::real) text += " NOT NULL";
    }
    if (!t.key.empty()) text += ", PRIMARY KEY (" + list(t.key) + ")";
    return execute((text + ")").c_str(), {}, nullptr);
  }

  /// Whether the table can take the record's columns, and needs no others.
  sql::status fits(const sql::answer& found) const {
    const auto bad = [&](const std::string& why) {
      return sql::status{sql::outcome::refused,
                         options_.path + ": table \"" + shape_->table.name + "\" " + why};
    };
    std::string names;
    for (const auto& r : found.rows) names += (names.empty() ? "" : ", ") + r[0];
    for (const auto& c : shape_->columns) {
      const auto at = std::find_if(found.rows.begin(), found.rows.end(), [&](const auto& r) {
        return sqlite3_stricmp(r[0].c_str(), c.name.c_str()) == 0;
      });
      if (at == found.rows.end()) {
        return bad("has no column \"" + c.name + "\"; its columns: " + names);
      }
      if ((*at)[5] != "0") return bad("computes the column \"" + c.name + "\" itself");
      if (!keeps((*at)[1], c.type)) {
        return bad("has a column \"" + c.name + "\" of type " + (*at)[1] +
                   ", which does not keep the record's " + std::string(sql::name_of(c.type)));
      }
    }
    for (const auto& r : found.rows) {
      const bool needed = r[2] == "1" && r[3] == "0" && r[4] == "0" && r[5] == "0";
      const bool given = std::any_of(
          shape_->columns.begin(), shape_->columns.end(),
          [&](const auto& c) { return sqlite3_stricmp(r[0].c_str(), c.name.c_str()) == 0; });
      if (needed && !given) {
        return bad("has a column \"" + r[0] +
                   "\" that is NOT NULL without a default, and the "
                   "record has no such member");
      }
    }
    return {};
  }

  static std::string list(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& n : names) text += (text.empty() ? "" : ", ") + sql::quoted(n);
    return text;
  }

  std::string insert_statement() const {
    const auto& t = shape_->table;
    std::string names;
    std::string marks;
    std::string updates;
    for (const auto& c : shape_->columns) {
      names += (names.empty() ? "" : ", ") + sql::quoted(c.name);
      marks += marks.empty() ? "?" : ", ?";
      if (std::find(t.key.begin(), t.key.end(), c.name) != t.key.end()) continue;
      updates += (updates.empty() ? "" : ", ") + sql::quoted(c.name) + " = excluded." +
                 sql::quoted(c.name);
    }
    std::string text =
        "INSERT INTO " + sql::quoted_name(t.name) + " (" + names + ") VALUES (" + marks + ")";
    if (t.key.empty()) return text;
    text += " ON CONFLICT (" + list(t.key) + ") DO ";
    const bool keep = t.existing == sql::existing_row::keep || updates.empty();
    return text + (keep ? "NOTHING" : "UPDATE SET " + updates);
  }

  /// Binds a row's cells; the reason if one has no form in SQLite.
  std::string bind(const sql::row& r) {
    snapshot_reader from(r.cells);
    for (std::size_t i = 0; i < shape_->columns.size(); ++i) {
      const auto c = sql::read_cell(from);
      const int at = static_cast<int>(i) + 1;
      switch (c.kind) {
        case sql::cell_kind::null: sqlite3_bind_null(insert_, at); break;
        case sql::cell_kind::no: sqlite3_bind_int(insert_, at, 0); break;
        case sql::cell_kind::yes: sqlite3_bind_int(insert_, at, 1); break;
        case sql::cell_kind::integer:
        case sql::cell_kind::time: sqlite3_bind_int64(insert_, at, c.integer); break;
        case sql::cell_kind::natural:
          if (c.natural > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
            return shape_->columns[i].name + ": " + std::to_string(c.natural) +
                   " is more than an INTEGER holds";
          }
          sqlite3_bind_int64(insert_, at, static_cast<std::int64_t>(c.natural));
          break;
        case sql::cell_kind::real: sqlite3_bind_double(insert_, at, c.real); break;
        case sql::cell_kind::text:
          if (shape_->columns[i].type == sql::column_type::bytes) {
            sqlite3_bind_blob64(insert_, at, c.text.data(), c.text.size(), SQLITE_STATIC);
          } else {
            sqlite3_bind_text64(insert_, at, c.text.data(), c.text.size(), SQLITE_STATIC,
                                SQLITE_UTF8);
          }
          break;
      }
    }
    return {};
  }

  sink_options options_;
  const sql::table_shape* shape_ = nullptr;
  sqlite3* handle_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // of handle_, for `interrupt`
};

}  // namespace detail

MILLRACE_DECL std::unique_ptr<sql::database> make_database(const sink_options& options) {
  return std::make_unique<detail::connection>(options);
}

}  // namespace millrace::sqlite
