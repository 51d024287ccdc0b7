// SPDX-License-Identifier: Apache-2.0
/// \file
/// Saving and restoring values: numbers, enums, times, strings, optionals, tuples, containers,
/// variants, structs described with Boost.Describe, and types with members `save` and `restore`.
/// Values carry no schema; `type_description<T>()` is stored once beside them. Functions are
/// reentrant.
///
/// Described structs are stored member by member, base classes first, whatever the access. A type
/// with `void save(snapshot_writer&) const` and `void restore(snapshot_reader&)` is stored in a
/// frame with its length, so that a `restore` that reads too little or too much is detected; it
/// may name its format in `static std::string snapshot_description()`. Other types: specialize
/// `serializer` (type_description.hpp). Every value takes at least one byte.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/state/saved_types.hpp>
#include <millrace/state/snapshot.hpp>
#include <millrace/state/type_description.hpp>

#include <boost/describe/bases.hpp>
#include <boost/describe/members.hpp>

#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace millrace {

/// The types that a `serializer` needs serializers for, as its member `parts`.
template <class... T>
struct type_parts {};

namespace detail {

template <class T>
struct parts_of {
  using type = type_parts<>;
};
template <class T>
  requires requires { typename serializer<T>::parts; }
struct parts_of<T> {
  using type = typename serializer<T>::parts;
};

/// Walks the types reachable from the list. Not a recursive concept, so that types which contain
/// themselves (a tree with a vector of trees) are allowed.
template <class Seen, class Todo>
struct all_serializable;
template <class... Seen>
struct all_serializable<type_parts<Seen...>, type_parts<>> : std::true_type {};
template <class... Seen, class T, class... Rest>
struct all_serializable<type_parts<Seen...>, type_parts<T, Rest...>> {
  template <class... Parts>
  static all_serializable<type_parts<Seen..., T>, type_parts<Parts..., Rest...>> after(
      type_parts<Parts...>);
  static constexpr bool check() {
    if constexpr ((std::is_same_v<T, Seen> || ...)) {
      return all_serializable<type_parts<Seen...>, type_parts<Rest...>>::value;
    } else if constexpr (requires { sizeof(serializer<T>); } && std::default_initializable<T>) {
      return decltype(after(typename parts_of<T>::type{}))::value;
    } else {
      return false;
    }
  }
  static constexpr bool value = check();
};

}  // namespace detail

/// Whether values of type `T` can be saved and restored: it and all its parts have a serializer and
/// a default constructor.
template <class T>
concept serializable = detail::all_serializable<type_parts<>, type_parts<T>>::value;

/// Appends `value`. O(size); throws only `std::bad_alloc` and what `T` throws.
template <serializable T>
void serialize(snapshot_writer& writer, const T& value) {
  serializer<T>::write(writer, value);
}

/// Reads what `serialize` wrote into `value`, whose old content is replaced. A failure is left in
/// the reader (`failed`, `status`), and `value` is then in some valid state. Memory for at most
/// what the remaining bytes can hold is allocated.
template <serializable T>
void deserialize(snapshot_reader& reader, T& value) {
  serializer<T>::read(reader, value);
}

template <fixed_width_number T>
struct serializer<T> {
  static void write(snapshot_writer& w, T value) { w.number(value); }
  static void read(snapshot_reader& r, T& value) { value = r.template number<T>(); }
  static void describe(type_describer& d) {
    if constexpr (std::is_same_v<T, bool>) {
      d.append("bool");
    } else {
      d.append(std::is_floating_point_v<T> ? "f" : std::is_signed_v<T> ? "i" : "u");
      d.append(std::to_string(8 * sizeof(T)));
    }
  }
};

template <class T>
  requires std::is_enum_v<T>
struct serializer<T> {
  using number = std::underlying_type_t<T>;
  static void write(snapshot_writer& w, T value) { w.number(static_cast<number>(value)); }
  static void read(snapshot_reader& r, T& value) {
    value = static_cast<T>(r.template number<number>());
  }
  static void describe(type_describer& d) {
    d.append("enum ");
    d.describe<number>();
  }
};

template <class Rep, class Period>
struct serializer<std::chrono::duration<Rep, Period>> {
  using parts = type_parts<Rep>;
  using duration = std::chrono::duration<Rep, Period>;
  static void write(snapshot_writer& w, duration value) { serialize(w, value.count()); }
  static void read(snapshot_reader& r, duration& value) {
    Rep count{};
    deserialize(r, count);
    value = duration{count};
  }
  static void describe(type_describer& d) {
    d.append("duration " + std::to_string(Period::num) + "/" + std::to_string(Period::den) + " ");
    d.describe<Rep>();
  }
};

template <class Clock, class Duration>
struct serializer<std::chrono::time_point<Clock, Duration>> {
  using parts = type_parts<Duration>;
  using time_point = std::chrono::time_point<Clock, Duration>;
  static void write(snapshot_writer& w, time_point value) {
    serialize(w, value.time_since_epoch());
  }
  static void read(snapshot_reader& r, time_point& value) {
    Duration since{};
    deserialize(r, since);
    value = time_point{since};
  }
  static void describe(type_describer& d) {
    if constexpr (std::is_same_v<time_point, timestamp>) {
      d.append("time");
    } else {
      d.append("time ");
      d.describe<Duration>();
    }
  }
};

template <>
struct serializer<std::string> {
  static void write(snapshot_writer& w, const std::string& value) { w.text(value); }
  static void read(snapshot_reader& r, std::string& value) { value = r.text(); }
  static void describe(type_describer& d) { d.append("string"); }
};

template <>
struct serializer<std::monostate> {
  static void write(snapshot_writer& w, std::monostate) { w.number(std::uint8_t{0}); }
  static void read(snapshot_reader& r, std::monostate&) { r.number<std::uint8_t>(); }
  static void describe(type_describer& d) { d.append("nothing"); }
};

template <class T>
struct serializer<std::optional<T>> {
  using parts = type_parts<T>;
  static void write(snapshot_writer& w, const std::optional<T>& value) {
    w.number(value.has_value());
    if (value) serializer<T>::write(w, *value);
  }
  static void read(snapshot_reader& r, std::optional<T>& value) {
    if (!r.number<bool>()) return value.reset();
    serializer<T>::read(r, value.emplace());
  }
  static void describe(type_describer& d) {
    d.append("optional<");
    d.describe<T>();
    d.append(">");
  }
};

}  // namespace millrace

#include <millrace/state/serialize_compound.hpp>
