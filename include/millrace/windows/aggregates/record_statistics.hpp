// SPDX-License-Identifier: Apache-2.0
/// \file
/// Statistics of every numeric field of dynamic records, with counts per field. Pure values.
#pragma once

#include <millrace/record/dynamic_record.hpp>
#include <millrace/state/snapshot.hpp>
#include <millrace/windows/aggregates/record_fields.hpp>
#include <millrace/windows/aggregates/statistics.hpp>
#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
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

/// One `statistics_state` per numeric field. \see record_fields
class record_statistics_state {
 public:
  void add(const dynamic_record& record) {
    fields_.add(record, [](statistics_state& field, double x) { field.add(x); });
  }
  void merge(const record_statistics_state& later) { fields_.merge(later.fields_, present, join); }

  record_statistics_result result(const std::vector<std::string>& without) const {
    record_statistics_result all;
    fields_.for_each([&](const std::string& name, const statistics_state& field) {
      const bool wanted = std::find(without.begin(), without.end(), name) == without.end();
      if (present(field) && wanted) all.fields.push_back({name, field.result()});
    });
    return all;
  }

  /// Fields by name, so that another process can read them.
  void save(snapshot_writer& to) const {
    fields_.save(to, [](snapshot_writer& w, const statistics_state& f) {
      for (const double d : {f.count, f.pivot, f.sum, f.squares, f.min, f.max}) w.number(d);
    });
  }
  void restore(snapshot_reader& from) {
    fields_.restore(from, [](snapshot_reader& r, statistics_state& f) {
      for (double* d : {&f.count, &f.pivot, &f.sum, &f.squares, &f.min, &f.max}) {
        *d = r.number<double>();
      }
    });
  }

 private:
  static bool present(const statistics_state& field) noexcept { return field.count != 0; }
  static void join(statistics_state& field, const statistics_state& later) { field.merge(later); }

  record_fields<statistics_state> fields_;
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
