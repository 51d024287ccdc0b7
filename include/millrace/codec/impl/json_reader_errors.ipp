// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/impl/json_reading.ipp>

namespace millrace::detail {

/// At most 40 characters of a document for a message, without what would garble a line.
inline std::string json_excerpt(std::string_view text) {
  std::string out(text.substr(0, 40));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out.size() < text.size() ? out + "..." : out;
}

/// What a token is, in words; nothing when it is no valid scalar.
inline std::string json_describe(std::string_view token) {
  const char* end = token.data() + token.size();
  bool flag = false;
  switch (token.empty() ? '\0' : token[0]) {
    case '"': return "the string " + json_excerpt(token);
    case '{': return "an object";
    case '[': return "an array";
    case 't':
    case 'f':
      if (token != "true" && token != "false") return {};
      return token == "true" ? "true" : "false";
    case 'n': return token == "null" ? "null" : "";
    default:
      if (json_number_end(token.data(), end, flag) != end) return {};
      return "the number " + json_excerpt(token);
  }
}

MILLRACE_DECL bool json_reading::fail(errc code, const char* where, std::string what) {
  code_ = code;
  where_ = where;
  what_ = std::move(what);
  return false;
}

/// Puts the name of the member in front of the path to what is wrong.
MILLRACE_DECL bool json_reading::inside(std::string_view member) {
  const bool element = path_.starts_with('[');
  if (!path_.empty() && !element) path_.insert(0, 1, '.');
  const std::string_view shown = member.substr(0, 64);
  path_.insert(0, shown.starts_with('[') ? std::string(shown) : json_excerpt(shown));
  return false;
}

/// Goes over one value. When it is not valid, `p` is left where the trouble is.
inline bool json_walk(const char*& p, const char* end, std::size_t depth, std::string& scratch) {
  p = json_skip_space(p, end);
  if (p >= end) return false;
  if (*p != '{' && *p != '[') {
    const char* after = json_skip(p, end, 0, scratch);
    if (after == nullptr) return false;
    p = after;
    return true;
  }
  if (depth == 0) return false;
  const bool object = *p == '{';
  const char close = object ? '}' : ']';
  p = json_skip_space(p + 1, end);
  if (p < end && *p == close) {
    ++p;
    return true;
  }
  for (;;) {
    if (object) {
      if (p >= end || *p != '"' || !json_walk(p, end, 0, scratch)) return false;
      p = json_skip_space(p, end);
      if (p >= end || *p != ':') return false;
      ++p;
    }
    if (!json_walk(p, end, depth - 1, scratch)) return false;
    p = json_skip_space(p, end);
    if (p >= end || (*p != ',' && *p != close)) return false;
    if (*p++ == close) return true;
    p = json_skip_space(p, end);
  }
}

/// The document is not JSON: says where. simdjson's own words are for what we would accept.
MILLRACE_DECL bool json_reading::broken(simdjson::error_code code) {
  const char* end = document_text_.data() + document_text_.size();
  const char* at = document_text_.data();
  if (code == simdjson::CAPACITY || code == simdjson::MEMALLOC) {
    return fail(errc::too_large, nullptr, "simdjson: not enough memory");
  }
  if (json_skip_space(at, end) == end)
    return fail(errc::malformed, nullptr, "no JSON, but nothing");
  if (!json_walk(at, end, plan_.options.max_depth, scratch_)) return invalid(at);
  at = json_skip_space(at, end);
  if (at != end) return fail(errc::malformed, at, "expected the end of the document");
  return fail(errc::malformed, nullptr, simdjson::error_message(code));
}

/// There is something at `where`, outside or inside of the value there, that is not JSON.
MILLRACE_DECL bool json_reading::invalid(const char* where) {
  const char* end = document_text_.data() + document_text_.size();
  const char* at = where;
  if (json_walk(at, end, depth_, scratch_)) at = where;
  if (at >= end) return fail(errc::malformed, end, "not valid JSON: it ends here");
  if (*at == '{' || *at == '[') {
    return fail(errc::too_large, at,
                "nested more deeply than " + std::to_string(plan_.options.max_depth) + " levels");
  }
  const auto shown = std::min<std::size_t>(static_cast<std::size_t>(end - at), 20);
  return fail(errc::malformed, at, "not valid JSON: " + json_excerpt({at, shown}));
}

MILLRACE_DECL bool json_reading::wrong_root(simdjson::error_code code, const char* expected) {
  const char* where =
      json_skip_space(document_text_.data(), document_text_.data() + document_text_.size());
  if (code != simdjson::INCORRECT_TYPE) return broken(code);
  std::string_view token =
      document_text_.substr(static_cast<std::size_t>(where - document_text_.data()));
  while (!token.empty() && json_space(token.back())) token.remove_suffix(1);
  const std::string found = json_describe(token);
  if (found.empty()) return invalid(where);
  return fail(errc::wrong_type, where, std::string("expected ") + expected + ", found " + found);
}

MILLRACE_DECL bool json_reading::wrong_extent(const json_value_plan& plan, const char* where) {
  return fail(errc::wrong_type, where,
              "expected an array of exactly " + std::to_string(plan.type->extent) + " elements");
}

MILLRACE_DECL bool json_reading::unexpected(ondemand::value& v, const char* expected) {
  const std::string_view found = token(v);
  // A string in place of a string can only be wrong inside.
  const std::string what = json_describe(found);
  if (what.empty() || (found[0] == '"' && json_skip(found.data(), found.data() + found.size(), 0,
                                                    scratch_) == nullptr)) {
    return invalid(found.data());
  }
  return fail(errc::wrong_type, found.data(),
              std::string("expected ") + expected + ", found " + what);
}

MILLRACE_DECL bool json_reading::not_integer(ondemand::value& v, const char* type) {
  const std::string_view found = token(v);
  bool whole = false;
  const char* end = found.data() + found.size();
  if (json_number_end(found.data(), end, whole) != end || !whole) {
    return unexpected(v, "an integer");
  }
  return fail(errc::out_of_range, found.data(),
              "the number " + json_excerpt(found) + " does not fit into " + type);
}

MILLRACE_DECL bool json_reading::not_double(ondemand::value& v, const char* type) {
  const std::string_view found = token(v);
  bool whole = false;
  const char* end = found.data() + found.size();
  if (json_number_end(found.data(), end, whole) != end) return unexpected(v, "a number");
  return fail(errc::out_of_range, found.data(),
              "the number " + json_excerpt(found) + " does not fit into " + type);
}

MILLRACE_DECL bool json_reading::not_enumerator(const json_type& type, ondemand::value& v) {
  std::string expected = "one of";
  std::size_t shown = 0;
  for (const json_enumerator& e : type.enumerators) {
    expected += shown == 0 ? " " : ", ";
    if (++shown > 8) {
      expected += "...";
      break;
    }
    expected += e.name;
  }
  return unexpected(v, expected.c_str());
}

MILLRACE_DECL bool json_reading::unknown(std::string_view name, ondemand::value& v) {
  fail(errc::malformed, place(v), "is not described, and unknown members are rejected");
  return inside(name);
}

MILLRACE_DECL result<void> json_reading::failure() {
  std::string text;
  if (!path_.empty()) text = "field " + path_ + ' ';
  if (where_ != nullptr) {
    text += "at offset " + std::to_string(where_ - document_text_.data()) + ": ";
  }
  return {code_, text + what_};
}

}  // namespace millrace::detail
