// SPDX-License-Identifier: Apache-2.0
/// \file
/// One state per numeric field of dynamic records, whatever their schemas. Not thread safe.
#pragma once

#include <millrace/record/dynamic_record.hpp>
#include <millrace/record/schema.hpp>
#include <millrace/state/snapshot.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

/// A `Cell` per numeric field. Remembers the schema it is numbered by; records of a longer version
/// of it extend the state, records of another schema are matched by name.
template <class Cell>
class record_fields {
 public:
  /// Calls `fold(cell, number)` for each number in the record. O(fields)
  template <class Fold>
  void add(const dynamic_record& record, Fold&& fold) {
    if (record.shared_schema() != schema_ && !adopt(record.shared_schema())) {
      return add_by_name(record, fold);
    }
    const auto& numbers = schema_->numbers();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (record.has(numbers[i])) fold(cells_[i], record.number(numbers[i]));
    }
  }

  /// Calls `join(cell, later)` for the fields of the other for which `present(later)`.
  template <class Present, class Join>
  void merge(const record_fields& later, Present&& present, Join&& join) {
    if (later.schema_ == nullptr) return;
    if (schema_ == later.schema_) {
      for (std::size_t i = 0; i < cells_.size(); ++i) join(cells_[i], later.cells_[i]);
      return;
    }
    const auto& numbers = later.schema_->numbers();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (present(later.cells_[i])) {
        join(place(later.schema_, numbers[i], i), later.cells_[i]);
      }
    }
  }

  /// Calls `visit(name, cell)` in the order of the schema.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      visit(schema_->name(schema_->numbers()[i]), cells_[i]);
    }
  }

  /// Fields by name, so that another process can read them.
  template <class Write>
  void save(snapshot_writer& to, Write&& write) const {
    to.varint(cells_.size());
    for_each([&](const std::string& name, const Cell& cell) {
      to.text(name);
      write(to, cell);
    });
  }
  template <class Read>
  void restore(snapshot_reader& from, Read&& read) {
    std::vector<schema::field> names;
    cells_.clear();
    const std::size_t n = from.count(1);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      names.push_back({std::string(from.text()), field_kind::number});
      read(from, cells_.emplace_back());
    }
    schema_ = nullptr;
    if (from.failed() || names.empty()) {
      cells_.clear();
    } else {
      schema_ = std::make_shared<const schema>(names);
    }
  }

 private:
  static bool same_lineage(const schema_ptr& a, const schema_ptr& b) noexcept {
    return a != nullptr && b != nullptr && a->lineage() == b->lineage();
  }

  /// Numbers the state by another schema, so that its records can be folded by index. Fields keep
  /// their place within a lineage. False when a field here is unknown there.
  bool adopt(const schema_ptr& next) {
    if (schema_ == nullptr || same_lineage(schema_, next)) {
      if (schema_ == nullptr || next->version() > schema_->version()) schema_ = next;
      cells_.resize(schema_->numbers().size());
      return true;
    }
    for (const field_index i : schema_->numbers()) {
      const auto found = next->find(schema_->name(i));
      if (!found || next->kind(*found) != field_kind::number) return false;
    }
    record_fields old = std::exchange(*this, {});
    schema_ = next;
    cells_.resize(next->numbers().size());
    for (std::size_t i = 0; i < old.cells_.size(); ++i) {
      place(old.schema_, old.schema_->numbers()[i], i) = std::move(old.cells_[i]);
    }
    return true;
  }

  template <class Fold>
  void add_by_name(const dynamic_record& record, Fold& fold) {
    const schema_ptr& other = record.shared_schema();
    const auto& numbers = other->numbers();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (record.has(numbers[i])) fold(place(other, numbers[i], i), record.number(numbers[i]));
    }
  }

  /// The cell of the field with that index in another schema, or position among its numbers.
  Cell& place(const schema_ptr& other, field_index index, std::size_t position) {
    if (schema_ == nullptr || same_lineage(schema_, other)) {
      adopt(other);
      return cells_[position];
    }
    const auto& name = other->name(index);
    const auto found = schema_->find(name);
    if (!found || schema_->kind(*found) != field_kind::number) {
      // A field of another lineage that ours does not have: our own version with it.
      std::vector<schema::field> longer;
      for (const field_index i : schema_->numbers()) {
        longer.push_back({schema_->name(i), field_kind::number});
      }
      longer.push_back({name, field_kind::number});
      schema_ = std::make_shared<const schema>(std::move(longer));
      cells_.resize(schema_->numbers().size());
      return cells_.back();
    }
    const auto& numbers = schema_->numbers();
    const auto at = std::lower_bound(numbers.begin(), numbers.end(), *found);
    return cells_[static_cast<std::size_t>(at - numbers.begin())];
  }

  schema_ptr schema_;
  std::vector<Cell> cells_;
};

}  // namespace millrace
