// SPDX-License-Identifier: Apache-2.0
/// \file
/// Statistics of every numeric field of dynamic records, with counts per field. Pure values.
#pragma once

#include <millrace/record/dynamic_record.hpp>
#include <millrace/record/schema.hpp>
#include <millrace/state/snapshot.hpp>
#include <millrace/windows/aggregates/statistics.hpp>
#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

/// One field of a `record_statistics_result`.
struct field_statistics {
  std::string name;
  statistics_result statistics;

  bool operator==(const field_statistics&) const = default;
};
BOOST_DESCRIBE_STRUCT(field_statistics, (), (name, statistics))

/// The fields that occurred in at least one record, in the order of their schema.
struct record_statistics_result {
  std::vector<field_statistics> fields;

  /// The field of that name, or nullptr. O(fields)
  const statistics_result* find(std::string_view name) const noexcept {
    for (const auto& f : fields) {
      if (f.name == name) return &f.statistics;
    }
    return nullptr;
  }
  bool operator==(const record_statistics_result&) const = default;
};
BOOST_DESCRIBE_STRUCT(record_statistics_result, (), (fields))

/// One `statistics_state` per numeric field. Remembers the schema it is numbered by; records of a
/// longer version of it extend the state, records of another schema are matched by name.
class record_statistics_state {
 public:
  void add(const dynamic_record& record) {
    if (record.shared_schema() != schema_) adopt(record.shared_schema());
    const auto& numbers = schema_->numbers();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (record.has(numbers[i])) fields_[i].add(record.number(numbers[i]));
    }
  }

  void merge(const record_statistics_state& later) {
    if (later.schema_ == nullptr) return;
    if (schema_ == later.schema_) {
      for (std::size_t i = 0; i < fields_.size(); ++i) fields_[i].merge(later.fields_[i]);
      return;
    }
    const auto& numbers = later.schema_->numbers();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (later.fields_[i].count != 0) {
        place(later.schema_, numbers[i], i).merge(later.fields_[i]);
      }
    }
  }

  record_statistics_result result(const std::vector<std::string>& without) const {
    record_statistics_result all;
    if (schema_ == nullptr) return all;
    const auto& numbers = schema_->numbers();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const auto& name = schema_->name(numbers[i]);
      const bool wanted = std::find(without.begin(), without.end(), name) == without.end();
      if (fields_[i].count != 0 && wanted) all.fields.push_back({name, fields_[i].result()});
    }
    return all;
  }

  /// Fields by name, so that another process can read them.
  void save(snapshot_writer& to) const {
    to.varint(fields_.size());
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      to.text(schema_->name(schema_->numbers()[i]));
      const auto& f = fields_[i];
      for (const double d : {f.count, f.pivot, f.sum, f.squares, f.min, f.max}) to.number(d);
    }
  }
  void restore(snapshot_reader& from) {
    std::vector<schema::field> names;
    fields_.clear();
    const std::size_t n = from.count(1);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      names.push_back({std::string(from.text()), field_kind::number});
      statistics_state f;
      for (double* d : {&f.count, &f.pivot, &f.sum, &f.squares, &f.min, &f.max}) {
        *d = from.number<double>();
      }
      fields_.push_back(f);
    }
    schema_ = nullptr;
    if (!from.failed() && !names.empty()) schema_ = std::make_shared<const schema>(names);
  }

 private:
  static bool same_lineage(const schema_ptr& a, const schema_ptr& b) noexcept {
    return a != nullptr && b != nullptr && a->lineage() == b->lineage();
  }

  /// Numbers the state by another schema. Fields keep their place within a lineage.
  void adopt(const schema_ptr& next) {
    if (schema_ == nullptr || same_lineage(schema_, next)) {
      if (schema_ == nullptr || next->version() > schema_->version()) schema_ = next;
      fields_.resize(schema_->numbers().size());
      return;
    }
    record_statistics_state old = std::exchange(*this, {});
    schema_ = next;
    fields_.resize(next->numbers().size());
    merge(old);
  }

  /// The state of the field with that index in another schema, or position among its numbers.
  statistics_state& place(const schema_ptr& other, field_index index, std::size_t position) {
    if (schema_ == nullptr || same_lineage(schema_, other)) {
      adopt(other);
      return fields_[position];
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
      fields_.resize(schema_->numbers().size());
      return fields_.back();
    }
    const auto& numbers = schema_->numbers();
    const auto at = std::lower_bound(numbers.begin(), numbers.end(), *found);
    return fields_[static_cast<std::size_t>(at - numbers.begin())];
  }

  schema_ptr schema_;
  std::vector<statistics_state> fields_;
};

/// Statistics of all numeric fields of the `dynamic_record` that `projection` names, except some:
/// `statistics_of_record{&report::fields, {"last_reported"}}`. The result is a
/// `record_statistics_result`. O(fields) per record.
template <class Projection = std::identity>
class statistics_of_record {
 public:
  using state = record_statistics_state;

  explicit statistics_of_record(Projection projection = {}, std::vector<std::string> without = {})
      : projection_(projection), without_(std::move(without)) {}

  template <class In>
    requires std::convertible_to<decltype(project(std::declval<const Projection&>(),
                                                  std::declval<const In&>())),
                                 const dynamic_record&>
  void add(state& s, const In& in) const {
    s.add(project(projection_, in));
  }
  void merge(state& s, const state& later) const { s.merge(later); }
  record_statistics_result result(const state& s) const { return s.result(without_); }

 private:
  [[no_unique_address]] Projection projection_;
  std::vector<std::string> without_;
};

}  // namespace millrace
