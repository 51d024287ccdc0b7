// SPDX-License-Identifier: Apache-2.0
/// \file
/// Checks the options of the Elasticsearch sink, and derives names and the template from them.
#pragma once

#include <millrace/codec/json_writer.hpp>
#include <millrace/connectors/elasticsearch/options.hpp>
#include <millrace/net/url.hpp>

#include <chrono>
#include <cstddef>

namespace millrace::elasticsearch {

namespace detail {

inline void append_padded(std::string& out, std::int64_t value, std::size_t width) {
  const auto digits = std::to_string(value);
  out.append(width > digits.size() ? width - digits.size() : 0, '0').append(digits);
}

/// One part of a date; false for a letter that means nothing.
inline bool append_date_part(std::string& out, char letter, timestamp time) {
  namespace chrono = std::chrono;
  const auto day = chrono::floor<chrono::days>(time);
  const chrono::year_month_day date{day};
  switch (letter) {
    case 'Y': append_padded(out, int{date.year()}, 4); return true;
    case 'm': append_padded(out, static_cast<unsigned>(date.month()), 2); return true;
    case 'd': append_padded(out, static_cast<unsigned>(date.day()), 2); return true;
    case 'H': append_padded(out, chrono::floor<chrono::hours>(time - day).count(), 2); return true;
    case '%': out.push_back('%'); return true;
    case 'G':
    case 'V': break;
    default: return false;
  }
  // ISO 8601: a week belongs to the year that its Thursday lies in.
  const auto weekday = chrono::weekday{day}.iso_encoding();
  const auto thursday = day + chrono::days{4} - chrono::days{weekday};
  const auto year = chrono::year_month_day{thursday}.year();
  const auto first = chrono::sys_days{year / chrono::January / 1};
  if (letter == 'G') {
    append_padded(out, int{year}, 4);
  } else {
    append_padded(out, (thursday - first).count() / 7 + 1, 2);
  }
  return true;
}

template <class AppendPart>
result<std::string> fill_pattern(const std::string& pattern, AppendPart append_part) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      out.push_back(pattern[i]);
    } else if (++i == pattern.size() || !append_part(out, pattern[i])) {
      return {errc::malformed, "index: write %Y, %m, %d, %H, %G, %V or %% in \"" + pattern + "\""};
    }
  }
  return out;
}

}  // namespace detail

MILLRACE_DECL result<std::string> dated_name(const std::string& pattern, timestamp time) {
  return detail::fill_pattern(pattern, [&](std::string& out, char letter) {
    return detail::append_date_part(out, letter, time);
  });
}

MILLRACE_DECL result<std::string> wildcard_name(const std::string& pattern) {
  return detail::fill_pattern(pattern, [](std::string& out, char letter) {
    std::string ignored;
    if (!detail::append_date_part(ignored, letter, {})) return false;
    if (letter == '%') {
      out.push_back('%');
    } else if (!out.ends_with('*')) {
      out.push_back('*');
    }
    return true;
  });
}

MILLRACE_DECL result<void> validate(const sink_options& options) {
  const auto url = net::parse_url(options.url);
  if (!url) return error{url.error().code, "url: " + url.error().message};
  if (url->scheme != "http" && url->scheme != "https") {
    return {errc::malformed, "url must begin with http:// or https://"};
  }
  if (!url->query.empty()) return {errc::malformed, "url: put the query into parameters"};
  if (options.index.empty()) return {errc::malformed, "index must name an index or data stream"};
  if (const auto name = dated_name(options.index.fixed(), {}); !name) return name.error();
  if (!options.id.empty() && !options.id.varies()) {
    return {errc::malformed, "id must be a member or a function of the record, not a fixed text"};
  }
  if (!options.api_key.empty() && !options.user.empty()) {
    return {errc::malformed, "give api_key, or user and password, but not both"};
  }
  if (options.timeout.count() <= 0) return {errc::out_of_range, "timeout must be positive"};
  if (options.time != add_time::never && options.time_member.empty()) {
    return {errc::malformed, "time_member must not be empty; use .time = add_time::never"};
  }
  const auto& t = options.template_;
  if (!t.name.empty() && t.body.empty() && t.pattern.empty() && options.index.varies()) {
    return {errc::malformed, "template_.pattern must be given when index is a function"};
  }
  if (auto bulk = validate(options.bulk); !bulk) return bulk;
  if (url->uses_tls()) {
    if (auto tls = net::validate(options.tls); !tls) {
      return error{tls.error().code, "tls: " + tls.error().message};
    }
  }
  return {};
}

namespace detail {

/// A dynamic template that maps new members of a type found in JSON to double.
inline void map_to_double(json_writer& json, std::string_view name, std::string_view found) {
  json.begin_object().key(name).begin_object().member("match_mapping_type", found);
  json.key("mapping").begin_object().member("type", "double").end_object();
  json.end_object().end_object();
}

}  // namespace detail

MILLRACE_DECL std::string template_body(const sink_options& options) {
  const auto& t = options.template_;
  if (!t.body.empty()) return t.body;
  std::string pattern = t.pattern;
  if (pattern.empty()) {
    if (const auto name = wildcard_name(options.index.fixed())) pattern = *name;
  }
  std::string out;
  json_writer json(out);
  json.begin_object().key("index_patterns").begin_array().value(pattern).end_array();
  json.member("priority", t.priority);
  if (options.target == target::data_stream) json.key("data_stream").begin_object().end_object();
  json.key("template").begin_object();
  if (t.shards || t.replicas) {
    json.key("settings").begin_object();
    if (t.shards) json.member("number_of_shards", *t.shards);
    if (t.replicas) json.member("number_of_replicas", *t.replicas);
    json.end_object();
  }
  json.key("mappings").begin_object();
  json.key("dynamic_templates").begin_array();
  if (t.numbers == whole_numbers::as_double) detail::map_to_double(json, "whole_numbers", "long");
  // By default fractions become "float": that loses digits, and is another type than that of a
  // whole number which came first.
  detail::map_to_double(json, "fractions", "double");
  json.end_array();
  json.key("properties").begin_object();
  bool time_is_mapped = options.time_member.empty();
  for (const auto& f : t.fields) {
    time_is_mapped = time_is_mapped || f.name == options.time_member;
    json.key(f.name).begin_object().member("type", f.type).end_object();
  }
  if (!time_is_mapped) {
    json.key(options.time_member).begin_object().member("type", "date").end_object();
  }
  json.end_object().end_object().end_object().end_object();
  return out;
}

}  // namespace millrace::elasticsearch
