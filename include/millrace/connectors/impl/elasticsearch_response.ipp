// SPDX-License-Identifier: Apache-2.0
/// \file
/// Reads answers of Elasticsearch with simdjson On-Demand.
#pragma once

#include <millrace/codec/detail/on_demand.hpp>
#include <millrace/connectors/elasticsearch/bulk_response.hpp>

#include <simdjson.h>

#include <algorithm>
#include <cstdint>

namespace millrace::elasticsearch {

namespace detail {

namespace ondemand = simdjson::ondemand;

/// Longer reasons are cut: they may quote whole documents.
inline constexpr std::size_t max_reason = 500;

inline void append_limited(std::string& out, std::string_view text) {
  const std::size_t room = out.size() < max_reason ? max_reason - out.size() : 0;
  if (text.size() <= room) {
    out.append(text);
    return;
  }
  std::size_t kept = room;  // whole UTF-8 characters only
  while (kept > 0 && (static_cast<unsigned char>(text[kept]) & 0xC0U) == 0x80U) --kept;
  out.append(text.substr(0, kept));
  out.append("...");
}

/// `{"type":...,"reason":...,"caused_by":{...}}`, or, as of old, a text.
inline void read_error(ondemand::value value, std::string& type, std::string& reason, int depth) {
  std::string_view text;
  if (value.get_string().get(text) == simdjson::SUCCESS) {
    append_limited(reason, text);
    return;
  }
  ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return;
  std::string cause_type;
  std::string cause;
  for (auto member : object) {
    std::string_view key;
    ondemand::value inner;
    if (millrace::detail::unescaped_key(member).get(key) != simdjson::SUCCESS) return;
    if (member.value().get(inner) != simdjson::SUCCESS) return;
    if (key == "type") {
      if (inner.get_string().get(text) == simdjson::SUCCESS) type.assign(text.substr(0, 200));
    } else if (key == "reason") {
      if (inner.get_string().get(text) == simdjson::SUCCESS) append_limited(reason, text);
    } else if (key == "caused_by" && depth < 3) {
      read_error(inner, cause_type, cause, depth + 1);
    }
  }
  if (cause.empty()) return;
  append_limited(reason, ", caused by ");
  if (!cause_type.empty()) append_limited(reason, cause_type + ": ");
  append_limited(reason, cause);
}

/// `{"index":{"status":201,...}}`. False when it is something else.
inline bool read_item(ondemand::value value, bulk_item_result& out) {
  ondemand::object wrapper;
  if (value.get_object().get(wrapper) != simdjson::SUCCESS) return false;
  bool found = false;
  for (auto action : wrapper) {  // one member, named after the operation
    ondemand::value inner;
    ondemand::object item;
    if (action.value().get(inner) != simdjson::SUCCESS) return false;
    if (inner.get_object().get(item) != simdjson::SUCCESS) return false;
    for (auto member : item) {
      std::string_view key;
      ondemand::value field;
      if (millrace::detail::unescaped_key(member).get(key) != simdjson::SUCCESS) return false;
      if (member.value().get(field) != simdjson::SUCCESS) return false;
      if (key == "status") {
        std::uint64_t status = 0;
        if (field.get_uint64().get(status) != simdjson::SUCCESS || status > 999) return false;
        out.status = static_cast<unsigned>(status);
        found = true;
      } else if (key == "error") {
        read_error(field, out.type, out.reason, 0);
      }
    }
  }
  return found;
}

inline bool read_items(ondemand::value value, std::vector<bulk_item_result>& items) {
  ondemand::array list;
  if (value.get_array().get(list) != simdjson::SUCCESS) return false;
  for (auto element : list) {
    ondemand::value item;
    bulk_item_result result;
    if (element.get(item) != simdjson::SUCCESS || !read_item(item, result)) return false;
    items.push_back(std::move(result));
  }
  return true;
}

/// Calls `visit(key, value)` for each member of the object that `body` is. False when it is none.
template <class Visit>
bool for_each_member(simdjson::padded_string_view body, Visit visit) {
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object object;
  if (parser.iterate(body).get(document) != simdjson::SUCCESS) return false;
  if (document.get_object().get(object) != simdjson::SUCCESS) return false;
  for (auto member : object) {
    std::string_view key;
    ondemand::value value;
    if (millrace::detail::unescaped_key(member).get(key) != simdjson::SUCCESS) return false;
    if (member.value().get(value) != simdjson::SUCCESS) return false;
    if (!visit(key, value)) return false;
  }
  return true;  // On-Demand has checked that the object is closed
}

}  // namespace detail

MILLRACE_DECL result<void> parse_bulk_response(std::string& body,
                                               std::vector<bulk_item_result>& items) {
  items.clear();
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  bool found = false;
  const bool whole = detail::for_each_member(
      simdjson::padded_string_view(body.data(), body.size(), body.capacity()),
      [&](std::string_view key, detail::ondemand::value value) {
        if (key != "items") return true;
        found = true;
        return detail::read_items(value, items);
      });
  if (whole && found) return {};
  items.clear();
  return {errc::malformed, "the answer to a bulk request is none: " + error_reason(body)};
}

MILLRACE_DECL std::string error_reason(std::string_view body) {
  std::string type;
  std::string reason;
  const simdjson::padded_string padded(body);
  const bool whole =
      detail::for_each_member(padded, [&](std::string_view key, detail::ondemand::value value) {
        if (key == "error") detail::read_error(value, type, reason, 0);
        return true;
      });
  if (whole && !reason.empty()) return type.empty() ? reason : type + ": " + reason;
  std::string start;
  detail::append_limited(start, body);
  std::replace_if(
      start.begin(), start.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return start;
}

MILLRACE_DECL bool is_acknowledged(std::string_view body) {
  bool acknowledged = false;
  const simdjson::padded_string padded(body);
  const bool whole =
      detail::for_each_member(padded, [&](std::string_view key, detail::ondemand::value value) {
        if (key != "acknowledged") return true;
        return value.get_bool().get(acknowledged) == simdjson::SUCCESS;
      });
  return whole && acknowledged;
}

}  // namespace millrace::elasticsearch
