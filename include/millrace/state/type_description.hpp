// SPDX-License-Identifier: Apache-2.0
/// \file
/// Descriptions of stored types, as text for people and as a 64-bit fingerprint, so that restoring
/// state into another type can be refused by naming both. Pure functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// How values of type `T` are stored. Specialized in serialize.hpp for numbers, enums, times,
/// strings, containers, tuples, variants, described structs and types with `save` and `restore`;
/// specialize it for types that are none of these:
///
///     template <> struct millrace::serializer<my_type> {
///       static void write(snapshot_writer&, const my_type&);  // at least one byte
///       static void read(snapshot_reader&, my_type&);
///       static void describe(type_describer& d) { d.append("my_type/1"); }
///     };
template <class T>
struct serializer;

namespace detail {

template <class T>
constexpr std::string_view pretty_function() noexcept {
  return __PRETTY_FUNCTION__;
}

/// Position of the last "::" outside of brackets, plus 2; 0 if there is none.
constexpr std::size_t unqualified_begin(std::string_view name) noexcept {
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '<' || c == '(' || c == '{' || c == '[') ++depth;
    if (c == '>' || c == ')' || c == '}' || c == ']') --depth;
    if (depth == 0 && c == ':' && i > 0 && name[i - 1] == ':') begin = i + 1;
  }
  return begin;
}

}  // namespace detail

/// The name of a class or enum without namespaces and template arguments, the same with every
/// compiler.
template <class T>
constexpr std::string_view short_type_name() noexcept {
  std::string_view name = detail::pretty_function<T>();
  name.remove_prefix(name.find("T = ") + 4);
  name = name.substr(0, std::min(name.rfind(']'), name.find(';')));
  name.remove_prefix(detail::unqualified_begin(name));
  return name.substr(0, name.find('<'));
}

/// Builds a description. Passed through `serializer<T>::describe`.
class type_describer {
 public:
  void append(std::string_view text) { text_ += text; }

  /// Appends the description of `T`; only its name when `T` contains itself.
  template <class T>
  void describe() {
    const std::string_view key = detail::pretty_function<T>();
    if (std::find(open_.begin(), open_.end(), key) != open_.end()) {
      append(short_type_name<T>());
      return;
    }
    open_.push_back(key);
    serializer<T>::describe(*this);
    open_.pop_back();
  }

  /// Appends descriptions separated by commas.
  template <class... T>
  void describe_all() {
    std::size_t i = 0;
    ((append(i++ == 0 ? "" : ","), describe<T>()), ...);
  }

  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
  std::vector<std::string_view> open_;
};

/// How values of type `T` are stored, in words: `reading{station:string,bikes:i32,at:time}`.
/// The same for the same layout on every machine and with every compiler. O(length).
template <class T>
std::string type_description() {
  type_describer d;
  d.describe<T>();
  return d.text();
}

/// FNV-1a of a text, 64 bits.
constexpr std::uint64_t fingerprint_of(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  return hash;
}

/// Fingerprint of the description: differs when the stored layout differs.
template <class T>
std::uint64_t type_fingerprint() {
  return fingerprint_of(type_description<T>());
}

}  // namespace millrace
