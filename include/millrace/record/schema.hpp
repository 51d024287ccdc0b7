// SPDX-License-Identifier: Apache-2.0
/// \file
/// The fields of dynamic records: names and kinds. A `schema` is immutable and may be read from any
/// thread; a `schema_registry` (thread safe) grows one by making longer versions of it, in which
/// every field keeps its index.
#pragma once

#include <millrace/base/config.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace {

/// What a field of a dynamic record holds. Only `number` fields are ever aggregated.
enum class field_kind : std::uint8_t {
  number,   ///< a double; integers are exact up to 2^53
  text,     ///< a string; identifiers belong here, too, even if they look like numbers
  boolean,  ///< true or false
  ignored,  ///< known, and left out of every record
};

/// Position of a field in its schema, and of its value in a record.
using field_index = std::uint32_t;

class schema;
using schema_ptr = std::shared_ptr<const schema>;

/// An ordered list of fields with distinct names.
class schema {
 public:
  struct field {
    std::string name;  ///< nested members have dotted names: "position.lat"
    field_kind kind;
  };

  /// A schema of its own lineage. \throws std::invalid_argument for a name that stands twice
  MILLRACE_DECL explicit schema(std::vector<field> fields);

  /// `earlier`, with one more field at the end: its next version. \throws as above
  MILLRACE_DECL schema(const schema& earlier, field added);

  std::size_t size() const noexcept { return fields_.size(); }
  const std::string& name(field_index i) const noexcept { return fields_[i].name; }
  field_kind kind(field_index i) const noexcept { return fields_[i].kind; }
  const std::vector<field>& fields() const noexcept { return fields_; }

  /// The indexes of all fields of kind `number`, ascending.
  const std::vector<field_index>& numbers() const noexcept { return numbers_; }

  /// The field of that name. O(1) on average.
  MILLRACE_DECL std::optional<field_index> find(std::string_view name) const;

  /// Two schemas with the same lineage are versions of each other: an index that both have means
  /// the same field. Unique within the process, never 0.
  std::uint64_t lineage() const noexcept { return lineage_; }

  /// Grows by one with every field added.
  std::uint32_t version() const noexcept { return version_; }

 private:
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const noexcept {
      return std::hash<std::string_view>{}(s);
    }
  };
  void index(field_index i);

  std::vector<field> fields_;
  std::vector<field_index> numbers_;
  std::unordered_map<std::string, field_index, text_hash, std::equal_to<>> by_name_;
  std::uint64_t lineage_;
  std::uint32_t version_ = 1;
};

/// Fields are found out from the records: a field has the kind of its first value that is not null;
/// a number whose name is that of an identifier (see `names_identifier`) is text.
struct inferred_fields {
  /// More fields than this are ignored and counted, so that junk names cannot fill the memory.
  static constexpr std::size_t default_max_fields = 256;

  std::vector<std::string> text = {};     ///< these are text, also when they come as numbers
  std::vector<std::string> ignored = {};  ///< these are left out, with everything nested in them
  std::size_t max_fields = default_max_fields;
  /// A decoder looks for new fields in its first so many records only.
  std::uint64_t records = ~std::uint64_t{0};
};

/// Only the named fields are numbers; text and booleans are found out from the records, and other
/// numbers are left out (identifiers are text, as above).
struct numeric_fields {
  numeric_fields(std::initializer_list<std::string_view> fields)
      : names(fields.begin(), fields.end()) {}
  explicit numeric_fields(std::vector<std::string> fields) : names(std::move(fields)) {}

  std::vector<std::string> names;
};

/// Whether a field of that name is taken for an identifier: "id" or "uuid", or ending in "_id",
/// "-id", ".id", "Id" or "ID".
MILLRACE_DECL bool names_identifier(std::string_view name) noexcept;

/// The newest version of a schema, shared by all decoders that feed one stream, so that a field has
/// the same index whichever worker saw it first.
class schema_registry {
 public:
  /// Learns fields by the given rule.
  MILLRACE_DECL explicit schema_registry(inferred_fields rule = {});
  MILLRACE_DECL explicit schema_registry(numeric_fields rule);
  /// These fields and no others. \throws std::invalid_argument for a name that stands twice
  MILLRACE_DECL explicit schema_registry(std::vector<schema::field> fields);

  schema_ptr current() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }

  /// The newest schema, after `name`, whose first value was a `kind`, has been added to it, if it
  /// was not there and there is room.
  MILLRACE_DECL schema_ptr learn(std::string_view name, field_kind kind);

  /// Decoders look for new fields in their first so many records.
  std::uint64_t learning_records() const noexcept { return learning_records_; }

  /// Most fields that the schema can have.
  std::size_t max_fields() const noexcept { return max_fields_; }

  /// How often a field could not be learnt because there were `max_fields` already.
  std::uint64_t refused() const noexcept {
    const std::lock_guard lock(mutex_);
    return refused_;
  }

 private:
  mutable std::mutex mutex_;
  schema_ptr current_;
  std::uint64_t refused_ = 0;
  std::size_t max_fields_ = inferred_fields::default_max_fields;
  std::uint64_t learning_records_ = ~std::uint64_t{0};
  field_kind other_numbers_ = field_kind::number;  // the kind that a new number gets
};

/// Translates the indexes of records of any schema to those of one's own, which grows as needed:
/// for state that outlives a schema (an aggregate per key, a snapshot). Belongs to one thread.
/// O(1) per record while their schema stays the same.
class schema_projection {
 public:
  /// For each field of `from`, its index here; unknown fields are added at the end. Valid until the
  /// next call.
  MILLRACE_DECL const std::vector<field_index>& map(const schema& from);

  /// The names known so far, in order.
  const std::vector<std::string>& names() const noexcept { return names_; }

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, field_index> by_name_;
  std::vector<field_index> mapped_;
  std::uint64_t lineage_ = 0;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/record/impl/schema.ipp>
#endif
