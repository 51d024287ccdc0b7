// SPDX-License-Identifier: Apache-2.0
/// \file
/// From described structs (Boost.Describe) to columns and rows: the members are the columns, by
/// name. Thread safe.
#pragma once

#include <millrace/codec/json.hpp>
#include <millrace/connectors/sql/column.hpp>

#include <boost/describe/enum_to_string.hpp>
#include <boost/describe/members.hpp>
#include <boost/describe/modifiers.hpp>
#include <boost/mp11/algorithm.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace millrace::sql {

/// A type whose members become columns.
template <class T>
concept table_record = millrace::detail::json_described_struct<T>;

namespace detail {

template <class M>
inline constexpr bool is_bytes = std::same_as<M, std::vector<std::byte>>;

template <class M>
constexpr column_type column_type_of() {
  namespace codec = millrace::detail;
  if constexpr (codec::json_is_optional<M>) {
    return column_type_of<typename M::value_type>();
  } else if constexpr (std::same_as<M, bool>) {
    return column_type::boolean;
  } else if constexpr (codec::json_is_duration<M>) {
    return column_type_of<typename M::rep>();
  } else if constexpr (std::floating_point<M>) {
    return column_type::real;
  } else if constexpr (codec::json_number<M>) {
    return std::is_unsigned_v<M> && sizeof(M) == 8 ? column_type::unsigned_integer
                                                   : column_type::integer;
  } else if constexpr (std::convertible_to<const M&, std::string_view> ||
                       codec::json_described_enum<M>) {
    return column_type::text;
  } else if constexpr (is_bytes<M>) {
    return column_type::bytes;
  } else if constexpr (std::same_as<M, timestamp>) {
    return column_type::time;
  } else {
    return column_type::json;
  }
}

template <class M>
void append_json_cell(const M& value, cell_writer& out) {
  thread_local const json_encoder<M> encoder{json_options{}};
  thread_local std::string text;
  text.clear();
  encoder.encode(value, text);
  out.text(text);
}

template <class M>
void append_cell(const M& value, cell_writer& out) {
  namespace codec = millrace::detail;
  if constexpr (codec::json_is_optional<M>) {
    if (!value) return out.null();
    append_cell(*value, out);
  } else if constexpr (std::same_as<M, bool>) {
    out.boolean(value);
  } else if constexpr (codec::json_is_duration<M>) {
    append_cell(value.count(), out);
  } else if constexpr (std::floating_point<M>) {
    out.real(static_cast<double>(value));
  } else if constexpr (codec::json_number<M>) {
    if constexpr (column_type_of<M>() == column_type::unsigned_integer) {
      out.natural(value);
    } else {
      out.integer(static_cast<std::int64_t>(value));
    }
  } else if constexpr (std::convertible_to<const M&, std::string_view>) {
    out.text(value);
  } else if constexpr (codec::json_described_enum<M>) {
    const char* name = boost::describe::enum_to_string(value, "");
    if (*name != '\0') return out.text(name);
    out.text(std::to_string(static_cast<std::underlying_type_t<M>>(value)));
  } else if constexpr (is_bytes<M>) {
    out.text({reinterpret_cast<const char*>(value.data()), value.size()});
  } else if constexpr (std::same_as<M, timestamp>) {
    out.time(value);
  } else {
    append_json_cell(value, out);
  }
}

template <class T>
using members_of = boost::describe::describe_members<T, boost::describe::mod_any_access |
                                                            boost::describe::mod_inherited>;

}  // namespace detail

/// The columns of T, in the order of its description, those of described bases first. Numbers,
/// bool, text, described enumerations (by name), `timestamp`, durations (their count), and
/// `std::vector<std::byte>` become columns of that kind; `std::optional` may be null; everything
/// else that has a form in JSON becomes JSON.
template <table_record T>
std::vector<column> columns_of() {
  std::vector<column> all;
  boost::mp11::mp_for_each<detail::members_of<T>>([&](auto description) {
    using member = std::remove_cvref_t<decltype(std::declval<T&>().*description.pointer)>;
    all.push_back({description.name, detail::column_type_of<member>(),
                   millrace::detail::json_is_optional<member>});
  });
  return all;
}

/// Appends a value's cells.
template <table_record T>
void append_cells(const T& value, snapshot_writer& to) {
  cell_writer out(to);
  boost::mp11::mp_for_each<detail::members_of<T>>(
      [&](auto description) { detail::append_cell(value.*description.pointer, out); });
}

}  // namespace millrace::sql
