// SPDX-License-Identifier: Apache-2.0
/// \file
/// Aggregates of numbers, over the fields of dynamic records: one field by name, or each of them.
/// As thread safe as their parts.
#pragma once

#include <millrace/record/dynamic_record.hpp>
#include <millrace/state/serialize.hpp>
#include <millrace/windows/aggregate.hpp>
#include <millrace/windows/aggregates/record_fields.hpp>
#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

/// A projection that yields a `dynamic_record`.
template <class Projection, class In>
concept record_projection = std::convertible_to<decltype(project(std::declval<const Projection&>(),
                                                                 std::declval<const In&>())),
                                                const dynamic_record&>;

/// Folds one numeric field, by an aggregate over numbers: `in_field("bikes", quantile(0.9))`, or of
/// a record within the record: `in_field("bikes", quantile(0.9), &report::fields)`. Records without
/// that number are left out; if there is none, the result is that of an empty state. One look-up by
/// name per record; for several fields `each_field` is faster.
template <class A, class Projection = std::identity>
class in_field {
 public:
  using state = typename A::state;
  static constexpr bool commutative = commutative_aggregate<A>;
  static constexpr bool needs_event_time = event_time_aggregate<A>;

  in_field(std::string name, A aggregate, Projection projection = {})
      : name_(std::move(name)), aggregate_(std::move(aggregate)), projection_(projection) {}

  template <class In>
    requires(!needs_event_time && record_projection<Projection, In>)
  void add(state& s, const In& in) const {
    if (const auto x = number_of(in)) aggregate_.add(s, *x);
  }
  template <class In>
    requires(needs_event_time && record_projection<Projection, In>)
  void add(state& s, const In& in, timestamp time) const {
    if (const auto x = number_of(in)) aggregate_.add(s, *x, time);
  }
  void merge(state& s, const state& later) const { aggregate_.merge(s, later); }
  void subtract(state& s, const state& part) const
    requires invertible_aggregate<A>
  {
    aggregate_.subtract(s, part);
  }
  decltype(auto) result(const state& s) const { return aggregate_.result(s); }

 private:
  template <class In>
  std::optional<double> number_of(const In& in) const {
    const dynamic_record& record = project(projection_, in);
    if (!record.has_schema()) return std::nullopt;
    return record.number(std::string_view(name_));
  }

  std::string name_;
  A aggregate_;
  [[no_unique_address]] Projection projection_;
};

/// The result for one field.
template <class R>
struct field_result {
  std::string name;
  R value{};

  friend bool operator==(const field_result&, const field_result&) = default;
  BOOST_DESCRIBE_CLASS(field_result, (), (name, value), (), ())
};

/// The state of an aggregate per field that has occurred.
template <class S>
class each_field_state {
 public:
  struct cell {
    bool present = false;
    S state{};
  };
  record_fields<cell> fields;

  void save(snapshot_writer& to) const
    requires serializable<S>
  {
    fields.save(to, [](snapshot_writer& w, const cell& c) {
      w.number(c.present);
      serialize(w, c.state);
    });
  }
  void restore(snapshot_reader& from)
    requires serializable<S>
  {
    fields.restore(from, [](snapshot_reader& r, cell& c) {
      c.present = r.number<bool>();
      deserialize(r, c.state);
    });
  }
  static std::string snapshot_description() { return "each_field<" + type_description<S>() + ">"; }
};

/// Folds each numeric field on its own, by an aggregate over numbers:
/// `each_field(quantiles({0.5, 0.99}))`. The result is a `std::vector<field_result<R>>` of the
/// fields that occurred, in the order of their schema. O(fields) per record.
template <class A, class Projection = std::identity>
class each_field {
 public:
  using state = each_field_state<typename A::state>;
  static constexpr bool commutative = false;  // the order of fields follows the first record
  static constexpr bool needs_event_time = event_time_aggregate<A>;

  explicit each_field(A aggregate, Projection projection = {})
      : aggregate_(std::move(aggregate)), projection_(projection) {}

  template <class In>
    requires(!needs_event_time && record_projection<Projection, In>)
  void add(state& s, const In& in) const {
    fold(s, in, [this](typename A::state& field, double x) { aggregate_.add(field, x); });
  }
  template <class In>
    requires(needs_event_time && record_projection<Projection, In>)
  void add(state& s, const In& in, timestamp time) const {
    fold(s, in, [&](typename A::state& field, double x) { aggregate_.add(field, x, time); });
  }
  void merge(state& s, const state& later) const {
    s.fields.merge(
        later.fields, [](const auto& field) { return field.present; },
        [this](auto& field, const auto& other) {
          field.present |= other.present;
          aggregate_.merge(field.state, other.state);
        });
  }
  auto result(const state& s) const {
    std::vector<field_result<aggregate_result_t<A>>> all;
    s.fields.for_each([&](const std::string& name, const auto& field) {
      if (field.present) all.push_back({name, aggregate_.result(field.state)});
    });
    return all;
  }

 private:
  template <class In, class F>
  void fold(state& s, const In& in, F&& add_number) const {
    const dynamic_record& record = project(projection_, in);
    if (!record.has_schema()) return;
    s.fields.add(record, [&](auto& field, double x) {
      field.present = true;
      add_number(field.state, x);
    });
  }

  A aggregate_;
  [[no_unique_address]] Projection projection_;
};

}  // namespace millrace
