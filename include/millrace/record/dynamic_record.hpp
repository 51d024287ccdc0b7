// SPDX-License-Identifier: Apache-2.0
/// \file
/// A record whose fields are known at run time only: a shared schema, and one cell per field. For
/// up to 16 fields the cells lie in the record; memory is kept when a record is used again, so that
/// the steady state allocates nothing. As thread safe as an int.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/record/schema.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

/// Values of the fields of `schema()`, each of which may be missing. A field is addressed by its
/// index; look names up once per schema version, not per record.
///
///     for (field_index i : record.schema().numbers())
///       if (record.has(i)) sum[i] += record.number(i);
class dynamic_record {
 public:
  /// Fields that need no memory of their own.
  static constexpr std::size_t inline_fields = 16;

  /// A record without fields.
  dynamic_record() = default;
  explicit dynamic_record(const schema_ptr& fields) { reset(fields); }

  dynamic_record(const dynamic_record&) = default;
  dynamic_record& operator=(const dynamic_record&) = default;
  dynamic_record(dynamic_record&& other) noexcept { swap(other); }
  /// Exchanges the two, so that the memory of both stays in use.
  dynamic_record& operator=(dynamic_record&& other) noexcept {
    swap(other);
    return *this;
  }
  ~dynamic_record() = default;

  void swap(dynamic_record& other) noexcept {
    schema_.swap(other.schema_);
    std::swap(count_, other.count_);
    std::swap(present_, other.present_);
    std::swap(cells_, other.cells_);
    more_present_.swap(other.more_present_);
    more_cells_.swap(other.more_cells_);
    text_.swap(other.text_);
  }

  /// Makes all fields missing and adopts `fields`. Does not touch the reference count when the
  /// schema is the record's already.
  void reset(const schema_ptr& fields) {
    if (schema_ != fields) adopt(fields);
    present_.fill(0);
    if (!more_present_.empty()) more_present_.assign(more_present_.size(), 0);
    text_.clear();
  }

  /// \pre `has_schema()`
  const millrace::schema& schema() const noexcept { return *schema_; }
  const schema_ptr& shared_schema() const noexcept { return schema_; }
  bool has_schema() const noexcept { return schema_ != nullptr; }

  /// Fields of the schema, present or not.
  std::size_t field_count() const noexcept { return count_; }
  field_kind kind(field_index i) const noexcept { return schema_->kind(i); }
  const std::string& name(field_index i) const noexcept { return schema_->name(i); }

  /// Whether the record has a value there. Fields behind `field_count()`, as a later version of
  /// the schema may have them, are missing.
  bool has(field_index i) const noexcept {
    return i < count_ && (presence(i / 64) >> (i % 64) & 1) != 0;
  }

  /// \pre `has(i)`, and the field is a number
  double number(field_index i) const noexcept { return std::bit_cast<double>(cell(i)); }
  /// \pre `has(i)`, and the field is a boolean
  bool boolean(field_index i) const noexcept { return cell(i) != 0; }
  /// \pre `has(i)`, and the field is text. Valid until the record is changed.
  std::string_view text(field_index i) const noexcept {
    const std::uint64_t place = cell(i);
    const auto begin = static_cast<std::uint32_t>(place);
    return std::string_view(text_).substr(begin, static_cast<std::size_t>(place >> 32));
  }

  /// Setting a field again replaces its value. \pre `i < field_count()` and the kind fits
  void set_number(field_index i, double value) noexcept {
    set(i, std::bit_cast<std::uint64_t>(value));
  }
  void set_boolean(field_index i, bool value) noexcept { set(i, value ? 1 : 0); }
  void set_text(field_index i, std::string_view value) {
    const std::uint64_t begin = text_.size();
    text_.append(value);
    set(i, begin | static_cast<std::uint64_t>(value.size()) << 32);
  }
  void remove(field_index i) noexcept { presence(i / 64) &= ~(std::uint64_t{1} << (i % 64)); }

  /// By name, for tests and rare look-ups: the value, if the field is there and a number (text).
  std::optional<double> number(std::string_view name) const {
    const auto i = lookup(name, field_kind::number);
    return i ? std::optional(number(*i)) : std::nullopt;
  }
  std::optional<std::string_view> text(std::string_view name) const {
    const auto i = lookup(name, field_kind::text);
    return i ? std::optional(text(*i)) : std::nullopt;
  }
  std::optional<bool> boolean(std::string_view name) const {
    const auto i = lookup(name, field_kind::boolean);
    return i ? std::optional(boolean(*i)) : std::nullopt;
  }

  /// The same fields with the same names, kinds and values; the schemas may differ otherwise.
  friend bool operator==(const dynamic_record& a, const dynamic_record& b) {
    return a.covers(b) && b.covers(a);
  }

 private:
  MILLRACE_DECL void adopt(const schema_ptr& fields);
  MILLRACE_DECL bool covers(const dynamic_record& other) const;
  MILLRACE_DECL std::optional<field_index> lookup(std::string_view name, field_kind kind) const;

  static constexpr std::size_t inline_words = 1;

  std::uint64_t presence(std::size_t word) const noexcept {
    return word < inline_words ? present_[word] : more_present_[word - inline_words];
  }
  std::uint64_t& presence(std::size_t word) noexcept {
    return word < inline_words ? present_[word] : more_present_[word - inline_words];
  }
  std::uint64_t cell(field_index i) const noexcept {
    return i < inline_fields ? cells_[i] : more_cells_[i - inline_fields];
  }
  void set(field_index i, std::uint64_t value) noexcept {
    MILLRACE_ASSERT(i < count_);
    (i < inline_fields ? cells_[i] : more_cells_[i - inline_fields]) = value;
    presence(i / 64) |= std::uint64_t{1} << (i % 64);
  }

  // A cell holds the bits of a double, 0 or 1, or place and length (upper half) of a text.
  schema_ptr schema_;
  std::size_t count_ = 0;
  std::array<std::uint64_t, inline_words> present_{};
  std::array<std::uint64_t, inline_fields> cells_{};
  std::vector<std::uint64_t> more_present_;
  std::vector<std::uint64_t> more_cells_;
  std::string text_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/record/impl/dynamic_record.ipp>
#endif
