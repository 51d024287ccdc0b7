// SPDX-License-Identifier: Apache-2.0
/// \file
/// Writes compact JSON (RFC 8259) to the end of a string, for hand-written encoders; described
/// structs are encoded by codec/json.hpp, on top of this. One writer belongs to one thread.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>
#include <millrace/base/time_format.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace {

/// Appends `text` as a JSON string, quotes included: control characters, quotes and backslashes are
/// escaped, and every ill-formed UTF-8 sequence is replaced by one U+FFFD (as the Unicode standard,
/// section 3.9, recommends), so that the output is always valid. O(n).
MILLRACE_DECL void append_json_string(std::string& out, std::string_view text);

/// Appends the shortest decimal that reads back as `value`, from 1e18 on with an exponent; NaN and
/// the infinities, which JSON does not have, become null.
MILLRACE_DECL void append_json_number(std::string& out, double value);
MILLRACE_DECL void append_json_number(std::string& out, float value);
MILLRACE_DECL void append_json_number(std::string& out, std::int64_t value);
MILLRACE_DECL void append_json_number(std::string& out, std::uint64_t value);

/// Builds one JSON value after the other; sets the commas and colons, and keeps no tree. The caller
/// keeps the order right (a key before each member, each `begin` ended), which is asserted.
///
///     json_writer w(out);
///     w.begin_object().member("station", name).key("models").begin_array();
///     for (const auto& m : models) w.value(m);
///     w.end_array().end_object();
class json_writer {
 public:
  /// Appends to `out`, which outlives the writer; what it holds already is left alone.
  explicit json_writer(std::string& out) noexcept : out_(&out) {}

  json_writer& begin_object() { return open('{'); }
  json_writer& end_object() { return close('}'); }
  json_writer& begin_array() { return open('['); }
  json_writer& end_array() { return close(']'); }

  /// The name of the next member. Names are not checked for duplicates.
  json_writer& key(std::string_view name) {
    separate();
    append_json_string(*out_, name);
    out_->push_back(':');
    comma_ = false;
    return *this;
  }

  json_writer& null() { return raw("null"); }
  json_writer& value(std::nullptr_t) { return null(); }
  json_writer& value(std::same_as<bool> auto flag) { return raw(flag ? "true" : "false"); }
  json_writer& value(std::string_view text) {
    separate();
    append_json_string(*out_, text);
    return *this;
  }
  json_writer& value(const char* text) { return value(std::string_view(text)); }
  json_writer& value(const std::string& text) { return value(std::string_view(text)); }

  /// Integers are written exactly; readers with doubles only see the first 53 bits.
  template <std::integral N>
    requires(!std::same_as<N, bool> && !std::same_as<N, char>)
  json_writer& value(N number) {
    separate();
    if constexpr (std::is_signed_v<N>) {
      append_json_number(*out_, static_cast<std::int64_t>(number));
    } else {
      append_json_number(*out_, static_cast<std::uint64_t>(number));
    }
    return *this;
  }
  template <std::floating_point N>
    requires(sizeof(N) <= sizeof(double))
  json_writer& value(N number) {
    separate();
    append_json_number(*out_, number);
    return *this;
  }

  /// ISO 8601 in UTC.
  json_writer& value(timestamp t, time_precision precision = time_precision::shortest) {
    separate();
    char text[max_time_text + 2];
    text[0] = '"';
    char* end = format_time(t, text + 1, precision);
    *end++ = '"';
    out_->append(text, static_cast<std::size_t>(end - text));
    return *this;
  }

  /// A value that is JSON already; not checked.
  json_writer& raw(std::string_view text) {
    separate();
    out_->append(text);
    return *this;
  }

  /// `key(name)`, then `value(v)`.
  template <class V>
  json_writer& member(std::string_view name, const V& v) {
    return key(name).value(v);
  }

  /// A name with quotes and colon that was escaped before, as `"name":`; not checked.
  json_writer& raw_key(std::string_view quoted) {
    separate();
    out_->append(quoted);
    comma_ = false;
    return *this;
  }

  /// Ends a line (JSON lines, bulk requests): the next value starts afresh. \pre `depth() == 0`
  json_writer& newline() {
    MILLRACE_ASSERT(depth_ == 0);
    out_->push_back('\n');
    comma_ = false;
    return *this;
  }

  /// Objects and arrays that are open.
  std::size_t depth() const noexcept { return depth_; }

 private:
  void separate() {
    if (comma_) out_->push_back(',');
    comma_ = true;
  }
  json_writer& open(char bracket) {
    separate();
    out_->push_back(bracket);
    comma_ = false;
    ++depth_;
    return *this;
  }
  json_writer& close(char bracket) {
    MILLRACE_ASSERT(depth_ > 0);
    --depth_;
    out_->push_back(bracket);
    comma_ = true;
    return *this;
  }

  std::string* out_;
  std::size_t depth_ = 0;
  bool comma_ = false;  // a value stands before the next one
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/codec/impl/json_writer.ipp>
#endif
