// SPDX-License-Identifier: Apache-2.0
/// \file
/// The fast reader: goes through the document once, expecting the keys in the order of earlier
/// documents, and checks every byte. It accepts nothing but valid JSON that fits the type, and it
/// never says what is wrong: whatever it does not accept is read again by the exact reader
/// (json_reader.hpp), which gives the same values for all that this one accepts. Not thread safe.
#pragma once

#include <millrace/codec/detail/json_plan.hpp>
#include <millrace/record/dynamic_record.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace millrace::detail {

class json_scanner {
 public:
  /// `plan` outlives the scanner; its shapes are learnt here.
  explicit json_scanner(json_plan& plan) : plan_(plan) {}

  /// Fills `out`, an object of the plan's type, from `text`, or returns false and leaves it half
  /// filled. 64 bytes behind `text` are readable. `fields` and `full` matter to dynamic records
  /// only: their schema, and whether no field will be added to it.
  MILLRACE_DECL bool scan(std::string_view text, void* out, const schema_ptr& fields, bool full);

 private:
  const char* value(const json_value_plan& plan, void* out, const char* p);
  const char* scalar(json_kind kind, const json_value_plan* plan, void* out, const char* p);
  const char* nested(const json_value_plan& plan, void* out, const char* p);
  const char* object(json_object_plan& plan, void* out, const char* p);
  template <class Reader>
  const char* members(json_shape& shape, const char* p, Reader& reader);
  json_step* surprise(json_object_plan& plan, json_step& previous, const char* p, const char*& at);
  bool absent(const json_object_plan& plan, void* out, const std::uint64_t* seen) const;
  const char* time(const json_value_plan& plan, void* out, const char* p);
  const char* duration(const json_value_plan& plan, void* out, const char* p);
  const char* enumeration(const json_type& type, void* out, const char* p);
  const char* list(const json_value_plan& plan, void* out, const char* p);
  const char* map(const json_value_plan& plan, void* out, const char* p);
  const char* key(const char* p, std::string_view& name);

  MILLRACE_DECL const char* dynamic(void* out, const char* p);
  const char* flat(json_flat_plan& plan, dynamic_record& out, const char* p);
  const char* flat_value(json_flat_plan& plan, json_step& step, dynamic_record& out, const char* p);
  const char* flat_scalar(const json_step& step, dynamic_record& out, const char* p);
  json_step* flat_surprise(json_flat_plan& plan, json_step& previous, const char* p,
                           const char*& at);

  /// Keys in unexpected places, in a row of documents, before the shapes are learnt anew.
  static constexpr std::uint32_t patience = 64;

  void forget();

  struct object_reader;
  struct flat_reader;

  json_plan& plan_;
  const char* end_ = nullptr;
  std::size_t depth_ = 0;          // what may still be nested
  std::string scratch_;            // of texts with escapes
  std::string key_;                // of a map, or of a dynamic field with its prefix
  std::vector<const void*> kept_;  // entries of the maps being read
  json_flat_plan flat_;
  schema_ptr fields_;
  bool full_ = false;
  std::uint32_t surprises_ = 0;
  bool calm_ = true;  // no surprise in this document
};

// Everything below is called with p < end_ and may return a place up to 24 bytes behind the end;
// the caller looks before it goes on.

/// A key and its colon; returns where the value starts.
inline const char* json_scanner::key(const char* p, std::string_view& name) {
  if (p >= end_ || *p != '"') return nullptr;
  p = json_string(p + 1, end_, scratch_, name);
  if (p == nullptr) return nullptr;
  p = json_skip_space(p, end_);
  if (p >= end_ || *p != ':') return nullptr;
  p = json_skip_space(p + 1, end_);
  return p < end_ ? p : nullptr;
}

/// The members of an object, from behind its brace. `reader` knows the fields: it reads the value
/// of a step, and looks up the keys that come as a surprise.
template <class Reader>
MILLRACE_ALWAYS_INLINE const char* json_scanner::members(json_shape& shape, const char* p,
                                                         Reader& reader) {
  const char* const end = end_;
  json_step* step = shape.head();
  for (;;) {
    const char* at;
    json_step* found = shape.expect(*step, p, end);
    if (MILLRACE_LIKELY(found != nullptr)) {
      at = p + found->length;
      if (MILLRACE_UNLIKELY(at >= end)) return nullptr;
    } else {
      const char* behind = nullptr;  // `at` stays in a register
      found = reader.surprise(*step, p, behind);
      at = behind;
      if (found == nullptr) {
        // Only an empty object may end where a key was expected.
        p = json_skip_space(p, end);
        return step == shape.head() && p < end && *p == '}' ? p + 1 : nullptr;
      }
    }
    step = found;
    p = reader.value(*step, at);
    if (MILLRACE_UNLIKELY(p == nullptr)) {
      // The spaces in front of the value may be more than last time.
      p = json_skip_space(at, end);
      if (p == at || p == end) return nullptr;
      p = reader.value(*step, p);
      if (p == nullptr) return nullptr;
    }
    char c = *p++;
    if (MILLRACE_LIKELY(c == ',')) continue;
    if (json_space(c)) {
      p = json_skip_space(p, end);
      c = *p++;
      if (c == ',') continue;
    }
    return c == '}' && p <= end ? p : nullptr;
  }
}

}  // namespace millrace::detail
