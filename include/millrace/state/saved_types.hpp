// SPDX-License-Identifier: Apache-2.0
/// \file
/// Whether state that was saved with one type can be restored into another: type descriptions
/// (type_description.hpp) are compared, and what was saved of each described struct is remembered
/// for the reader. Immutable once made.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

/// The members of described structs as they were saved.
class saved_types {
 public:
  /// Nothing when the types do not fit: everything must be the same, but that described structs may
  /// have got members, anywhere between the old ones. O(length)
  static std::optional<saved_types> compare(std::string_view saved, std::string_view now) {
    saved_types found;
    node before;
    node after;
    if (!parse(saved, before) || !parse(now, after)) return std::nullopt;
    if (!found.fits(before, after)) return std::nullopt;
    return found;
  }

  /// Of the struct with that short name, in order; null when none was saved.
  const std::vector<std::string>* members(std::string_view type) const {
    const auto it = members_.find(type);
    return it == members_.end() ? nullptr : &it->second;
  }

 private:
  static constexpr int most_depth = 100;

  // "head<child,child>tail", "head{name:child,name:child}" or "head".
  struct node {
    std::string head;
    char open = 0;
    std::vector<std::string> names;
    std::vector<node> children;
    std::string tail;
  };

  /// A list of types, as the children of a node.
  static bool parse(std::string_view text, node& into) {
    std::size_t at = 0;
    return parse_children(text, at, into, '\0', 0) && at == text.size();
  }

  static bool parse_children(std::string_view text, std::size_t& at, node& into, char close,
                             int depth) {
    if (depth > most_depth) return false;
    for (;;) {
      std::string name;
      if (close == '}') {
        while (at < text.size() && text[at] != ':' && text[at] != '}') name += text[at++];
        if (at == text.size()) return false;
        if (text[at] == '}') return name.empty() && into.children.empty();
        ++at;
      }
      into.names.push_back(std::move(name));
      if (!parse_type(text, at, into.children.emplace_back(), depth)) return false;
      if (at == text.size()) return close == '\0';
      if (text[at] != ',') return text[at] == close;
      ++at;
    }
  }

  static bool parse_type(std::string_view text, std::size_t& at, node& into, int depth) {
    for (std::string* part = &into.head; at < text.size(); ++at) {
      const char c = text[at];
      if (c == ',' || c == '>' || c == '}') return true;
      if (c != '<' && c != '{') {
        *part += c;
        continue;
      }
      if (into.open != 0) return false;
      into.open = c;
      if (!parse_children(text, ++at, into, c == '<' ? '>' : '}', depth + 1)) return false;
      part = &into.tail;
    }
    return true;
  }

  bool fits(const node& saved, const node& now) {
    if (saved.head != now.head || saved.open != now.open || saved.tail != now.tail) return false;
    const bool is_struct = saved.open == '{';
    if (!is_struct && saved.children.size() != now.children.size()) return false;
    std::size_t next = 0;
    for (std::size_t i = 0; i < now.children.size() && next < saved.children.size(); ++i) {
      if (is_struct && saved.names[next] != now.names[i]) continue;
      if (!fits(saved.children[next], now.children[i])) return false;
      ++next;
    }
    if (next != saved.children.size()) return false;
    if (!is_struct) return true;
    // Two structs of one name are told apart by nothing else.
    return members_.emplace(saved.head, saved.names).first->second == saved.names;
  }

  std::map<std::string, std::vector<std::string>, std::less<>> members_;
};

}  // namespace millrace
