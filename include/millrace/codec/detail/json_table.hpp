// SPDX-License-Identifier: Apache-2.0
/// \file
/// Makes the tables of json_type.hpp from C++ types: described structs and enumerations
/// (Boost.Describe), and what the standard library builds from them.
#pragma once

#include <millrace/codec/detail/json_type.hpp>
#include <millrace/record/dynamic_record.hpp>

#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <boost/describe/modifiers.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace millrace::detail {

template <class T>
inline constexpr bool json_is_optional = false;
template <class T>
inline constexpr bool json_is_optional<std::optional<T>> = true;

template <class T>
inline constexpr bool json_is_vector = false;
template <class T, class A>
inline constexpr bool json_is_vector<std::vector<T, A>> = true;

template <class T>
inline constexpr std::size_t json_array_extent = std::numeric_limits<std::size_t>::max();
template <class T, std::size_t N>
inline constexpr std::size_t json_array_extent<std::array<T, N>> = N;
template <class T>
concept json_array = json_array_extent<T> != std::numeric_limits<std::size_t>::max();

template <class T>
inline constexpr bool json_is_duration = false;
template <class R, class P>
inline constexpr bool json_is_duration<std::chrono::duration<R, P>> = true;

template <class T>
concept json_map = requires(T& map, const std::string& key) {
  typename T::mapped_type;
  typename T::node_type;  // values keep their addresses
  requires std::same_as<typename T::key_type, std::string>;
  map.try_emplace(key).first->second;
  map.find(key);
};

template <class T>
concept json_described_struct =
    std::is_class_v<T> && boost::describe::has_describe_members<T>::value;
template <class T>
concept json_described_enum =
    std::is_enum_v<T> && boost::describe::has_describe_enumerators<T>::value;

template <class T>
concept json_number = (std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
                       !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
                       !std::same_as<T, char16_t> && !std::same_as<T, char32_t>) ||
                      std::same_as<T, float> || std::same_as<T, double>;

template <json_number T>
constexpr json_kind json_number_kind() {
  if constexpr (std::floating_point<T>) {
    return sizeof(T) == 4 ? json_kind::float32 : json_kind::float64;
  } else {
    constexpr int step = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    constexpr auto first = std::is_signed_v<T> ? json_kind::int8 : json_kind::uint8;
    return static_cast<json_kind>(static_cast<int>(first) + step);
  }
}

/// One table per type. The address is a constant, so tables of recursive types can refer to
/// each other.
template <class T>
struct json_table {
  static const json_type type;
};

template <class T>
consteval json_rule json_rule_for(std::string_view member) {
  json_rule rule{.member = member};
  if constexpr (requires { json_fields<T>::rules; }) {
    for (const json_rule& r : json_fields<T>::rules) {
      if (r.member == member) rule = r;
    }
  }
  if constexpr (requires { json_fields<T>::presence; }) {
    if (rule.presence == json_presence::required) rule.presence = json_fields<T>::presence;
  }
  if (rule.name.empty()) rule.name = member;
  return rule;
}

template <class T, class D>
struct json_member_access {
  static void* locate(void* object) { return &(static_cast<T*>(object)->*D::pointer); }
  static void set_default(void* object) {
    static const T fresh{};
    static_cast<T*>(object)->*D::pointer = fresh.*D::pointer;
  }
};

template <class T, class D>
consteval json_member json_make_member() {
  using member = std::remove_cvref_t<decltype(std::declval<T&>().*D::pointer)>;
  using access = json_member_access<T, D>;
  constexpr json_rule rule = json_rule_for<T>(D::name);
  constexpr bool resets = rule.ignored || rule.presence == json_presence::defaulted;
  json_member result{.name = rule.name,
                     .type = nullptr,
                     .locate = &access::locate,
                     .set_default = nullptr,
                     .presence = rule.presence,
                     .time = rule.time,
                     .ignored = rule.ignored};
  if constexpr (resets) {
    static_assert(std::is_copy_assignable_v<member> && std::is_default_constructible_v<T>,
                  "json: a defaulted or ignored member must be copyable, and its struct "
                  "default-constructible");
    result.set_default = &access::set_default;
  }
  result.type = &json_table<member>::type;
  return result;
}

/// The members of a described struct, those of its described bases first.
template <class T, class List = boost::describe::describe_members<
                       T, boost::describe::mod_any_access | boost::describe::mod_inherited>>
struct json_members;
template <class T, template <class...> class List, class... D>
struct json_members<T, List<D...>> {
  static constexpr std::array<json_member, sizeof...(D)> value{json_make_member<T, D>()...};

  static consteval bool rules_name_members() {
    if constexpr (requires { json_fields<T>::rules; }) {
      for (const json_rule& rule : json_fields<T>::rules) {
        if (!((rule.member == std::string_view(D::name)) || ...)) return false;
      }
    }
    return true;
  }
  static_assert(rules_name_members(),
                "json_fields<T>::rules names a member that the description of T does not have");
  static_assert(sizeof...(D) <= 256, "json: a struct may have at most 256 described members");
};

template <class E, class List = boost::describe::describe_enumerators<E>>
struct json_enumerators;
template <class E, template <class...> class List, class... D>
struct json_enumerators<E, List<D...>> {
  static constexpr std::array<json_enumerator, sizeof...(D)> value{
      json_enumerator{D::name, static_cast<std::int64_t>(D::value)}...};
};

template <class T>
struct json_optional_functions {
  static void* engage(void* optional) {
    auto& o = *static_cast<T*>(optional);
    return o ? &*o : &o.emplace();
  }
  static void reset(void* optional) { static_cast<T*>(optional)->reset(); }
  static const void* peek(const void* optional) {
    const auto& o = *static_cast<const T*>(optional);
    return o ? &*o : nullptr;
  }
  static constexpr json_container table{.engage = &engage, .reset = &reset, .peek = &peek};
};

template <class T>
struct json_sequence_functions {
  static std::size_t size(const void* sequence) { return static_cast<const T*>(sequence)->size(); }
  static void* at(void* sequence, std::size_t i) {
    auto& v = *static_cast<T*>(sequence);
    return i < v.size() ? &v[i] : &v.emplace_back();
  }
  static void truncate(void* sequence, std::size_t size) {
    auto& v = *static_cast<T*>(sequence);
    v.erase(v.begin() + static_cast<std::ptrdiff_t>(size), v.end());
  }
  static constexpr json_container table{.size = &size, .at = &at, .truncate = &truncate};
};

template <class T>
struct json_map_functions {
  static std::size_t size(const void* map) { return static_cast<const T*>(map)->size(); }
  static void* find(void* map, const std::string& key) {
    return &static_cast<T*>(map)->try_emplace(key).first->second;
  }
  static void retain(void* map, std::span<const void* const> kept) {
    auto& m = *static_cast<T*>(map);
    for (auto at = m.begin(); at != m.end();) {
      const void* value = &at->second;
      at = std::binary_search(kept.begin(), kept.end(), value) ? std::next(at) : m.erase(at);
    }
  }
  static void visit(const void* map, json_map_visitor& visitor) {
    for (const auto& [key, value] : *static_cast<const T*>(map)) visitor.entry(key, &value);
  }
  static constexpr json_container table{
      .size = &size, .find = &find, .retain = &retain, .visit = &visit};
};

template <class T>
consteval json_type json_make_type() {
  json_type type{.kind = json_kind::object, .size = sizeof(T), .alignment = alignof(T)};
  if constexpr (std::same_as<T, bool>) {
    type.kind = json_kind::boolean;
  } else if constexpr (json_number<T>) {
    type.kind = json_number_kind<T>();
  } else if constexpr (std::same_as<T, std::string>) {
    type.kind = json_kind::text;
  } else if constexpr (std::same_as<T, std::string_view>) {
    type.kind = json_kind::text_view;
  } else if constexpr (std::same_as<T, timestamp>) {
    type.kind = json_kind::timestamp;
  } else if constexpr (std::same_as<T, dynamic_record>) {
    type.kind = json_kind::dynamic;
  } else if constexpr (json_is_duration<T>) {
    type.kind = json_kind::duration;
    type.number = json_number_kind<typename T::rep>();
    type.ticks = T::period::den;
    type.seconds = T::period::num;
  } else if constexpr (json_described_enum<T>) {
    type.kind = json_kind::enumeration;
    type.number = json_number_kind<std::underlying_type_t<T>>();
    type.enumerators = json_enumerators<T>::value;
  } else if constexpr (json_is_optional<T>) {
    type.kind = json_kind::optional;
    type.element = &json_table<typename T::value_type>::type;
    type.container = json_optional_functions<T>::table;
  } else if constexpr (json_is_vector<T>) {
    static_assert(!std::same_as<typename T::value_type, bool>,
                  "json: std::vector<bool> has no bools to point to; use std::vector<char> or "
                  "std::array<bool, N>");
    type.kind = json_kind::sequence;
    type.element = &json_table<typename T::value_type>::type;
    type.container = json_sequence_functions<T>::table;
  } else if constexpr (json_array<T>) {
    type.kind = json_kind::array;
    type.element = &json_table<typename T::value_type>::type;
    type.extent = json_array_extent<T>;
  } else if constexpr (json_map<T>) {
    type.kind = json_kind::map;
    type.element = &json_table<typename T::mapped_type>::type;
    type.container = json_map_functions<T>::table;
  } else {
    static_assert(json_described_struct<T>,
                  "json: this type has no form in JSON; describe it (BOOST_DESCRIBE_STRUCT, "
                  "BOOST_DESCRIBE_ENUM), or use bool, a number, std::string, std::optional, "
                  "std::vector, std::array, std::map<std::string, T>, a chrono duration, "
                  "millrace::timestamp or millrace::dynamic_record");
    if constexpr (json_described_struct<T>) type.members = json_members<T>::value;
  }
  return type;
}

template <class T>
constinit const json_type json_table<T>::type = json_make_type<T>();

}  // namespace millrace::detail
