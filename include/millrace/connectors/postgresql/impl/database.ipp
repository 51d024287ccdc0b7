// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/time_format.hpp>
#include <millrace/connectors/postgresql/impl/session.ipp>
#include <millrace/connectors/postgresql/sink.hpp>

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace millrace::postgresql {

namespace detail {

/// Text of an array's elements, as PostgreSQL reads it (documentation, 8.15.6).
class array_text {
 public:
  void clear() {
    text_ = "{";
    first_ = true;
  }
  void null() { plain("NULL"); }
  void plain(std::string_view value) {
    separate();
    text_ += value;
  }
  void quoted(std::string_view value) {
    separate();
    text_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') text_ += '\\';
      text_ += c;
    }
    text_ += '"';
  }
  void hex(std::string_view bytes) {
    constexpr char digits[] = "0123456789abcdef";
    separate();
    text_ += "\"\\\\x";
    for (const char c : bytes) {
      text_ += digits[static_cast<unsigned char>(c) >> 4];
      text_ += digits[static_cast<unsigned char>(c) & 15];
    }
    text_ += '"';
  }
  const char* end() {
    text_ += '}';
    return text_.c_str();
  }

 private:
  void separate() {
    if (!std::exchange(first_, false)) text_ += ',';
  }
  std::string text_ = "{";
  bool first_ = true;
};

/// What the table says of a column that the record has.
struct target_column {
  std::string type;  // its name, without a length: a cast to varchar(3) would cut
  char category;     // pg_type.typcategory
};

/// Whether a value of that kind fits into a type of that category, by a cast that fails rather than
/// change the value.
inline bool fits(sql::column_type from, const target_column& to) {
  const auto one_of = [&](std::string_view all) {
    return all.find(to.category) != std::string_view::npos;
  };
  switch (from) {
    case sql::column_type::boolean: return one_of("BNS");
    case sql::column_type::integer:
    case sql::column_type::unsigned_integer:
    case sql::column_type::real: return one_of("NS");
    case sql::column_type::text: return one_of("SUEIVDTGX") && to.type != "bytea";
    case sql::column_type::json: return one_of("SU") && to.type != "bytea";
    case sql::column_type::bytes: return to.type == "bytea";
    case sql::column_type::time: return one_of("DNS");
  }
  return false;
}

inline const char* declared_type(sql::column_type type) noexcept {
  switch (type) {
    case sql::column_type::boolean: return "boolean";
    case sql::column_type::integer: return "bigint";
    case sql::column_type::unsigned_integer: return "numeric(20)";
    case sql::column_type::real: return "double precision";
    case sql::column_type::bytes: return "bytea";
    case sql::column_type::time: return "timestamptz";
    case sql::column_type::json: return "jsonb";
    case sql::column_type::text: break;
  }
  return "text";
}

class connection final : public sql::database {
 public:
  explicit connection(const sink_options& options) : options_(options) {}

  bool connected() const noexcept override { return session_.open(); }
  sql::status begin() override {
    auto result = run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
    // A row must be refused where it is inserted, not at the commit.
    return result.ok() ? run("SET CONSTRAINTS ALL IMMEDIATE") : result;
  }
  void interrupt() noexcept override { session_.interrupt(); }

  sql::status connect() override {
    auto result = session_.connect(options_.connection, options_.connect_timeout);
    // Less would lose the last transactions in a crash of the server, and with them exactly once.
    if (result.ok()) {
      result = execute(
          "SELECT set_config('synchronous_commit', 'on', false) "
          "WHERE current_setting('synchronous_commit') = 'off'",
          {}, nullptr);
    }
    for (const auto& statement : options_.on_connect) {
      if (result.ok()) result = execute(statement.c_str(), {}, nullptr);
    }
    if (!result.ok()) session_.close();
    return result;
  }

  sql::status execute(const char* statement, std::span<const std::string> values,
                      sql::answer* into) override {
    std::vector<const char*> pointers;
    for (const auto& v : values) pointers.push_back(v.c_str());
    return session_.run(statement, pointers, into, options_.timeout);
  }

  sql::status use(const sql::table_shape& shape) override {
    shape_ = &shape;
    sql::answer found;
    auto result = look(found);
    if (result.ok() && found.rows.empty()) {
      result = make_table();
      if (result.ok()) result = look(found);
    }
    if (result.ok()) result = check(found);
    if (!result.ok()) return result;
    insert_ = insert_statement();
    arrays_.resize(shape.columns.size());
    return result;
  }

  sql::status insert(std::span<const sql::row> rows,
                     std::vector<sql::refused_row>& refused) override {
    std::vector<sql::row> chunk;
    std::size_t bytes = 0;
    for (const auto& r : rows) {
      if (auto why = unprintable(r); !why.empty()) {
        refused.push_back({r, "postgresql: " + why});
        continue;
      }
      chunk.push_back(r);
      bytes += r.cells.size();
      if (chunk.size() < options_.rows_per_insert && bytes < std::size_t{1} << 20) continue;
      auto result = insert_part(chunk, refused);
      if (!result.ok()) return result;
      chunk.clear();
      bytes = 0;
    }
    return chunk.empty() ? sql::status{} : insert_part(chunk, refused);
  }

 private:
  sql::status run(const char* statement) {
    return session_.run(statement, {}, nullptr, options_.timeout);
  }

  /// The rows in one statement; if it is refused, its halves, down to the rows that are at fault.
  sql::status insert_part(std::span<const sql::row> rows, std::vector<sql::refused_row>& refused) {
    auto result = run("SAVEPOINT millrace");
    if (result.ok()) result = send(rows);
    if (result.outcome == sql::outcome::unfit) {
      const auto reason = result.message;
      result = run("ROLLBACK TO SAVEPOINT millrace");
      if (result.ok()) result = run("RELEASE SAVEPOINT millrace");
      if (!result.ok()) return result;
      if (rows.size() == 1) {
        refused.push_back({rows[0], "postgresql: " + reason});
        return {};
      }
      result = insert_part(rows.first(rows.size() / 2), refused);
      return result.ok() ? insert_part(rows.subspan(rows.size() / 2), refused) : result;
    }
    return result.ok() ? run("RELEASE SAVEPOINT millrace") : result;
  }

  sql::status send(std::span<const sql::row> rows) {
    for (auto& a : arrays_) a.clear();
    for (const auto* r : without_repeated_keys(rows)) {
      snapshot_reader from(r->cells);
      for (std::size_t i = 0; i < arrays_.size(); ++i) {
        append(sql::read_cell(from), i, arrays_[i]);
      }
    }
    std::vector<const char*> values;
    for (auto& a : arrays_) values.push_back(a.end());
    return session_.run(insert_.c_str(), values, nullptr, options_.timeout);
  }

  /// One statement must not meet the same key twice: of such rows the one that counts.
  const std::vector<const sql::row*>& without_repeated_keys(std::span<const sql::row> rows) {
    chosen_.clear();
    if (shape_->table.key.empty()) {
      for (const auto& r : rows) chosen_.push_back(&r);
      return chosen_;
    }
    const bool last = shape_->table.existing == sql::existing_row::replace;
    std::unordered_set<std::string> seen;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto& r = rows[last ? rows.size() - 1 - i : i];
      if (seen.insert(key_of(r)).second) chosen_.push_back(&r);
    }
    if (last) std::reverse(chosen_.begin(), chosen_.end());
    return chosen_;
  }

  std::string key_of(const sql::row& r) const {
    std::string key;
    snapshot_reader from(r.cells);
    const auto& names = shape_->table.key;
    for (const auto& c : shape_->columns) {
      const auto begin = from.position();
      sql::read_cell(from);
      if (std::find(names.begin(), names.end(), c.name) == names.end()) continue;
      key += r.cells.substr(begin, from.position() - begin);
    }
    return key;
  }

  /// Why a row cannot be sent: text in PostgreSQL has no null characters.
  std::string unprintable(const sql::row& r) const {
    snapshot_reader from(r.cells);
    for (const auto& c : shape_->columns) {
      const auto value = sql::read_cell(from);
      if (c.type != sql::column_type::bytes && value.text.find('\0') != std::string_view::npos) {
        return c.name + ": the text contains a null character";
      }
    }
    return {};
  }

  void append(const sql::cell& c, std::size_t column, array_text& out) const {
    const char category = targets_[column].category;
    switch (c.kind) {
      case sql::cell_kind::null: return out.null();
      case sql::cell_kind::no: return out.plain(category == 'N' ? "0" : "f");
      case sql::cell_kind::yes: return out.plain(category == 'N' ? "1" : "t");
      case sql::cell_kind::integer: return out.plain(std::to_string(c.integer));
      case sql::cell_kind::natural: return out.plain(std::to_string(c.natural));
      case sql::cell_kind::real: return append_real(c.real, out);
      case sql::cell_kind::time: return append_time(c.integer, category, out);
      case sql::cell_kind::text: break;
    }
    if (shape_->columns[column].type == sql::column_type::bytes) return out.hex(c.text);
    out.quoted(c.text);
  }

  static void append_real(double value, array_text& out) {
    if (std::isnan(value)) return out.plain("NaN");
    if (std::isinf(value)) return out.plain(value > 0 ? "Infinity" : "-Infinity");
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value);
    out.plain({text, static_cast<std::size_t>(end.ptr - text)});
  }

  static void append_time(std::int64_t microseconds, char category, array_text& out) {
    const timestamp t{duration{microseconds}};
    if (category == 'N') return out.plain(std::to_string(microseconds));
    if (category == 'D' && t == min_timestamp) return out.plain("-infinity");
    if (category == 'D' && t == max_timestamp) return out.plain("infinity");
    char text[max_time_text];
    const char* end = format_time(t, text);
    out.quoted({text, static_cast<std::size_t>(end - text)});
  }

  sql::status look(sql::answer& found) {
    return execute(
        "SELECT a.attname, format_type(a.atttypid, -1), t.typcategory, a.attnotnull, "
        "a.atthasdef OR a.attidentity <> '', a.attgenerated <> '' OR a.attidentity = 'a' "
        "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
        "WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped "
        "ORDER BY a.attnum",
        std::vector<std::string>{sql::quoted_name(shape_->table.name)}, &found);
  }

  sql::status make_table() {
    const auto& t = shape_->table;
    if (t.missing == sql::missing_table::fail) {
      return {sql::outcome::refused,
              "there is no table \"" + t.name + "\"; make it, or set table.missing = create"};
    }
    std::string text = "CREATE TABLE IF NOT EXISTS " + sql::quoted_name(t.name) + " (";
    for (const auto& c : shape_->columns) {
      if (text.back() != '(') text += ", ";
      text += sql::quoted(c.name) + " " + declared_type(c.type) + (c.nullable ? "" : " NOT NULL");
    }
    if (!t.key.empty()) text += ", PRIMARY KEY (" + list(t.key) + ")";
    auto result = execute((text + ")").c_str(), {}, nullptr);
    // Somebody else makes it at the same moment.
    if (result.outcome == sql::outcome::unfit) result.outcome = sql::outcome::again;
    return result;
  }

  /// Whether the table can take the record's columns, and needs no others.
  sql::status check(const sql::answer& found) {
    const auto bad = [&](const std::string& why) {
      return sql::status{sql::outcome::refused, "table \"" + shape_->table.name + "\" " + why};
    };
    std::string names;
    for (const auto& r : found.rows) names += (names.empty() ? "" : ", ") + r[0];
    targets_.clear();
    for (const auto& c : shape_->columns) {
      const auto at = std::find_if(found.rows.begin(), found.rows.end(),
                                   [&](const auto& r) { return r[0] == c.name; });
      if (at == found.rows.end()) {
        return bad("has no column \"" + c.name + "\"; its columns: " + names);
      }
      if ((*at)[5] == "t") return bad("computes the column \"" + c.name + "\" itself");
      targets_.push_back({(*at)[1], (*at)[2].empty() ? ' ' : (*at)[2][0]});
      if (!fits(c.type, targets_.back())) {
        return bad("has a column \"" + c.name + "\" of type " + (*at)[1] +
                   ", which does not take the record's " + std::string(sql::name_of(c.type)));
      }
    }
    for (const auto& r : found.rows) {
      if (r[3] != "t" || r[4] == "t" || r[5] == "t") continue;
      const bool given = std::any_of(shape_->columns.begin(), shape_->columns.end(),
                                     [&](const auto& c) { return r[0] == c.name; });
      if (!given) {
        return bad("has a column \"" + r[0] +
                   "\" that is NOT NULL without a default, and the record has no such member");
      }
    }
    return {};
  }

  static std::string list(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& n : names) text += (text.empty() ? "" : ", ") + sql::quoted(n);
    return text;
  }

  /// INSERT ... SELECT FROM unnest: any number of rows in one statement, one parameter per column.
  std::string insert_statement() const {
    const auto& t = shape_->table;
    std::string names;
    std::string arrays;
    std::string updates;
    for (std::size_t i = 0; i < shape_->columns.size(); ++i) {
      const auto& name = shape_->columns[i].name;
      names += (names.empty() ? "" : ", ") + sql::quoted(name);
      arrays +=
          (arrays.empty() ? "$" : ", $") + std::to_string(i + 1) + "::" + targets_[i].type + "[]";
      if (std::find(t.key.begin(), t.key.end(), name) != t.key.end()) continue;
      updates +=
          (updates.empty() ? "" : ", ") + sql::quoted(name) + " = excluded." + sql::quoted(name);
    }
    std::string text = "INSERT INTO " + sql::quoted_name(t.name) + " (" + names +
                       ") SELECT * FROM unnest(" + arrays + ")";
    if (t.key.empty()) return text;
    text += " ON CONFLICT (" + list(t.key) + ") DO ";
    const bool keep = t.existing == sql::existing_row::keep || updates.empty();
    return text + (keep ? "NOTHING" : "UPDATE SET " + updates);
  }

  sink_options options_;
  session session_;
  const sql::table_shape* shape_ = nullptr;
  std::vector<target_column> targets_;
  std::string insert_;
  std::vector<array_text> arrays_;
  std::vector<const sql::row*> chosen_;
};

}  // namespace detail

MILLRACE_DECL std::unique_ptr<sql::database> make_database(const sink_options& options) {
  return std::make_unique<detail::connection>(options);
}

}  // namespace millrace::postgresql
