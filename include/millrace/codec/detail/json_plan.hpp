// SPDX-License-Identifier: Apache-2.0
/// \file
/// The tables of a type, resolved for one decoder or encoder: offsets, options, and the shape of
/// the documents seen so far. Included by the codec's implementation only; not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/codec/detail/json_token.hpp>
#include <millrace/codec/detail/json_type.hpp>
#include <millrace/codec/json_options.hpp>
#include <millrace/record/dynamic_record.hpp>
#include <millrace/record/schema.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::detail {

struct json_object_plan;
struct json_field_plan;
struct json_flat_plan;

/// How one value is read and written.
struct json_value_plan {
  json_kind kind;
  json_time time = json_time::unspecified;  // of numbers that are times
  const json_type* type = nullptr;
  const json_value_plan* element = nullptr;
  json_object_plan* object = nullptr;      // of kind object
  const json_field_plan* field = nullptr;  // of kind defaulted
};

/// A short text that is compared with what stands in a document.
struct json_pattern {
  static constexpr std::size_t max_text = 56;

  alignas(32) char text[json_padding] = {};
  std::uint64_t behind = 0;  // a bit for each byte behind the text; an empty one matches nothing
  std::size_t length = 0;

  /// Whether the document goes on with it at `p`. Up to `end + 32` is fine: what matches there ends
  /// behind the document, which the caller notices.
  MILLRACE_ALWAYS_INLINE bool matches(const char* p, const char* end) const noexcept {
    return json_same_32(p, text, static_cast<std::uint32_t>(behind)) &&
           (length <= 32 ||
            (p < end && json_same_32(p + 32, text + 32, static_cast<std::uint32_t>(behind >> 32))));
  }

  /// Remembers the bytes [from, to), if there are not too many.
  bool learn(const char* from, const char* to) noexcept {
    const auto size = static_cast<std::size_t>(to - from);
    if (size > max_text) return false;
    std::memset(text, 0, sizeof text);
    std::memcpy(text, from, size);
    length = size;
    behind = ~std::uint64_t{0} << size;
    return true;
  }
};

struct json_field_plan {
  json_value_plan value;
  std::size_t offset = 0;
  std::size_t index = 0;
  const json_member* member = nullptr;
  std::string quoted;  // "name": as it is written
  json_pattern key;    // from behind the first quote, with the second; empty if it has escapes
};

/// A key, with what stands around it: from behind the comma (or brace) up to the value. Documents
/// of one producer repeat it byte by byte.
struct json_step : json_pattern {
  json_step* next = nullptr;

  // The field of an object; of kind `ignored` when nobody wants the value:
  json_kind kind = json_kind::ignored;
  std::uint32_t word = 0;  // of the set of fields seen
  std::uint64_t bit = 0;
  std::size_t offset = 0;
  const json_field_plan* field = nullptr;

  // The field of a dynamic record, and the level that the key opens when its value is an object:
  field_index index = 0;
  field_kind field_is = field_kind::ignored;
  bool known = false;
  json_flat_plan* nested = nullptr;

  /// Makes this the step of a field of an object.
  void stands_for(const json_field_plan& plan) noexcept {
    kind = plan.value.kind;
    word = static_cast<std::uint32_t>(plan.index / 64);
    bit = std::uint64_t{1} << (plan.index % 64);
    offset = plan.offset;
    field = &plan;
  }
};

/// The order of keys in the documents so far: a list of steps, each with the one that followed.
class json_shape {
 public:
  static constexpr std::size_t max_steps = 1024;

  json_shape() noexcept { forget(); }
  json_shape(const json_shape&) = delete;
  json_shape& operator=(const json_shape&) = delete;

  /// The place before the first key.
  json_step* head() noexcept { return &head_; }

  /// The step behind `previous` that stands at `p`; the next few are tried.
  MILLRACE_ALWAYS_INLINE json_step* expect(const json_step& previous, const char* p,
                                           const char* end) noexcept {
    json_step* step = previous.next;
    return MILLRACE_LIKELY(step->matches(p, end)) ? step : look_ahead(step, p, end);
  }

  /// A new step behind `previous`, with the text [from, to). Never null; when the text is too long
  /// or there are too many, the step is not remembered.
  json_step* insert(json_step& previous, const char* from, const char* to) {
    const bool remember = to - from <= std::ptrdiff_t{json_step::max_text} && used_ < max_steps;
    if (remember && used_ == steps_.size()) steps_.emplace_back();
    json_step* step = remember ? &steps_[used_++] : &stray_;
    json_step* const next = previous.next;  // `previous` may be the stray step itself
    *step = json_step{};
    step->next = next;
    if (remember) {
      step->learn(from, to);
      previous.next = step;
    }
    return step;
  }

  bool remembers(const json_step* step) const noexcept { return step != &stray_; }

  /// Starts anew; memory stays.
  void forget() noexcept {
    used_ = 0;
    head_.next = &last_;
    last_.next = &last_;
  }

 private:
  MILLRACE_NOINLINE static json_step* look_ahead(json_step* step, const char* p,
                                                 const char* end) noexcept {
    for (int tries = 3; tries > 0; --tries) {
      step = step->next;
      if (step->matches(p, end)) return step;
    }
    return nullptr;
  }

  std::deque<json_step> steps_;  // addresses are stable
  std::size_t used_ = 0;
  json_step head_;
  json_step last_;   // behind all: matches zeros only, which no document holds
  json_step stray_;  // stands for keys that are not remembered
};

/// The fields of an object by name: open addressing, from the ends of the name.
class json_key_table {
 public:
  void build(const std::vector<json_field_plan>& fields);
  const json_field_plan* find(std::string_view key) const noexcept {
    if (slots_.empty()) return nullptr;
    for (std::size_t i = hash(key) >> shift_;; ++i) {
      const json_field_plan* field = slots_[i & (slots_.size() - 1)];
      if (field == nullptr || field->member->name == key) return field;
    }
  }

 private:
  static std::uint64_t hash(std::string_view key) noexcept {
    std::uint64_t a = 0, b = 0;
    const std::size_t n = key.size();
    if (n >= 8) {
      a = json_load<std::uint64_t>(key.data());
      b = json_load<std::uint64_t>(key.data() + n - 8);
    } else if (n >= 4) {
      a = json_load<std::uint32_t>(key.data());
      b = json_load<std::uint32_t>(key.data() + n - 4);
    } else {
      for (const char c : key) a = a << 8 | static_cast<unsigned char>(c);
    }
    return (a ^ (b * 0x9E3779B97F4A7C15U) ^ n) * 0xD6E8FEB86659FD93U;
  }

  std::vector<const json_field_plan*> slots_;
  int shift_ = 0;
};

struct json_object_plan {
  static constexpr std::size_t max_words = 4;

  std::vector<json_field_plan> fields;
  std::vector<const json_member*> ignored;
  json_key_table keys;
  std::size_t words = 0;              // of the set of fields seen
  std::uint64_t all[max_words] = {};  // the full set
  json_shape shape;
  std::vector<json_step*> step_of;  // the step of a field, by index

  void forget() noexcept {
    shape.forget();
    std::fill(step_of.begin(), step_of.end(), nullptr);
  }
};

/// A level of dynamic records: the object at `prefix` ("", "position.", ...).
struct json_flat_plan {
  static constexpr std::size_t max_children = 64;

  std::string prefix;
  std::size_t depth = 0;
  json_shape shape;
  std::vector<json_step*> step_of;  // the step of a field, by index
  std::vector<std::unique_ptr<json_flat_plan>> children;

  void forget() noexcept {
    shape.forget();
    step_of.clear();
    for (const auto& child : children) child->forget();
  }
};

struct json_plan {
  json_options options;
  json_value_plan root;
  std::deque<json_object_plan> objects;
  std::deque<json_value_plan> values;
  std::unordered_map<const json_type*, json_object_plan*> by_type;
  bool has_dynamic = false;
  bool has_view = false;  // a text that can only be written

  MILLRACE_DECL json_plan(const json_type& type, const json_options& chosen);
  json_plan(const json_plan&) = delete;
  json_plan& operator=(const json_plan&) = delete;

 private:
  json_value_plan value(const json_type& type, json_time time);
  json_object_plan* object(const json_type& type);
};

}  // namespace millrace::detail
