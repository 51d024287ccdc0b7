// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/detail/json_scanner.hpp>
#include <millrace/codec/detail/json_value.hpp>

#include <bit>
#include <type_traits>

namespace millrace::detail {

MILLRACE_DECL bool json_scanner::scan(std::string_view text, void* out, const schema_ptr& fields,
                                      bool full) {
  end_ = text.data() + text.size();
  depth_ = plan_.options.max_depth;
  kept_.clear();
  if (MILLRACE_UNLIKELY(fields_ != fields)) {
    fields_ = fields;
    forget();
  }
  full_ = full;
  if (surprises_ != 0) {
    if (calm_) surprises_ = 0;
    calm_ = true;
    if (surprises_ > patience) forget();
  }
  const char* p = json_skip_space(text.data(), end_);
  if (p == end_) return false;
  p = plan_.root.kind == json_kind::object ? object(*plan_.root.object, out, p)
                                           : nested(plan_.root, out, p);
  return p == end_ || (p != nullptr && json_skip_space(p, end_) == end_);
}

inline void json_scanner::forget() {
  for (json_object_plan& object : plan_.objects) object.forget();
  flat_.forget();
  surprises_ = 0;
}

template <class N>
MILLRACE_ALWAYS_INLINE const char* json_scan_integer(void* out, const char* p) noexcept {
  if constexpr (std::is_same_v<N, std::uint64_t>) {
    std::uint64_t number = 0;
    p = json_digits(p, number);
    if (p == nullptr) return nullptr;
    json_put(out, number);
    return p;
  } else {
    std::int64_t number = 0;
    p = json_integer(p, number);
    return p != nullptr && json_put_integer<N>(out, number) ? p : nullptr;
  }
}

/// The plain kinds, right where they are needed; `kind` is that of the plan.
MILLRACE_ALWAYS_INLINE const char* json_scanner::scalar(json_kind kind, const json_value_plan* plan,
                                                        void* out, const char* p) {
  switch (kind) {
    case json_kind::boolean: {
      bool flag = false;
      p = json_boolean(p, flag);
      json_put(out, flag);
      return p;
    }
    case json_kind::int8: return json_scan_integer<std::int8_t>(out, p);
    case json_kind::int16: return json_scan_integer<std::int16_t>(out, p);
    case json_kind::int32: return json_scan_integer<std::int32_t>(out, p);
    case json_kind::int64: return json_scan_integer<std::int64_t>(out, p);
    case json_kind::uint8: return json_scan_integer<std::uint8_t>(out, p);
    case json_kind::uint16: return json_scan_integer<std::uint16_t>(out, p);
    case json_kind::uint32: return json_scan_integer<std::uint32_t>(out, p);
    case json_kind::uint64: return json_scan_integer<std::uint64_t>(out, p);
    case json_kind::float64: {
      double number = 0;
      p = json_double(p, end_, number);
      json_put(out, number);
      return p;
    }
    case json_kind::text: {
      std::string_view view;
      if (*p != '"') return nullptr;
      p = json_string(p + 1, end_, scratch_, view);
      if (p != nullptr) json_put_text(out, view);
      return p;
    }
    case json_kind::timestamp: {
      std::int64_t number = 0;
      timestamp t{};
      const char* after = json_integer(p, number);
      if (after == nullptr || *after == '.' || (*after | 0x20) == 'e' ||
          !json_time_from(number, plan->time, t)) {
        return nested(*plan, out, p);
      }
      json_put(out, t);
      return after;
    }
    default: return nested(*plan, out, p);
  }
}

inline const char* json_scanner::value(const json_value_plan& plan, void* out, const char* p) {
  return scalar(plan.kind, &plan, out, p);
}

/// The kinds that are not plain.
MILLRACE_NOINLINE inline const char* json_scanner::nested(const json_value_plan& plan, void* out,
                                                          const char* p) {
  switch (plan.kind) {
    case json_kind::float32: {
      double number = 0;
      p = json_double(p, end_, number);
      return p != nullptr && json_put_float(out, number) ? p : nullptr;
    }
    case json_kind::timestamp: return time(plan, out, p);
    case json_kind::duration: return duration(plan, out, p);
    case json_kind::enumeration: return enumeration(*plan.type, out, p);
    case json_kind::object: return object(*plan.object, out, p);
    case json_kind::optional:
      if (*p == 'n') {
        plan.type->container.reset(out);
        return json_four(p, "null") ? p + 4 : nullptr;
      }
      return value(*plan.element, plan.type->container.engage(out), p);
    case json_kind::defaulted:
      if (*p == 'n') {
        plan.field->member->set_default(static_cast<char*>(out) - plan.field->offset);
        return json_four(p, "null") ? p + 4 : nullptr;
      }
      return value(*plan.element, out, p);
    case json_kind::sequence:
    case json_kind::array: return list(plan, out, p);
    case json_kind::map: return map(plan, out, p);
    case json_kind::dynamic: return dynamic(out, p);
    default: return nullptr;
  }
}

struct json_scanner::object_reader {
  json_scanner& scanner;
  char* out;
  json_object_plan& plan;
  std::uint64_t seen[json_object_plan::max_words] = {};

  MILLRACE_ALWAYS_INLINE const char* value(json_step& step, const char* p) {
    if (step.kind == json_kind::ignored) {
      if (const char* after = json_plain_number_end(p); after != nullptr) return after;
      return json_skip(p, scanner.end_, scanner.depth_, scanner.scratch_);
    }
    seen[step.word] |= step.bit;
    return scanner.scalar(step.kind, &step.field->value, out + step.offset, p);
  }
  json_step* surprise(json_step& previous, const char* p, const char*& at) {
    return scanner.surprise(plan, previous, p, at);
  }
};

inline const char* json_scanner::object(json_object_plan& plan, void* out, const char* p) {
  if (*p != '{' || depth_ == 0) return nullptr;
  --depth_;
  for (const json_member* member : plan.ignored) member->set_default(out);
  object_reader reader{*this, static_cast<char*>(out), plan};
  p = members(plan.shape, p + 1, reader);
  ++depth_;
  return p != nullptr && absent(plan, out, reader.seen) ? p : nullptr;
}

/// A key that does not stand where it used to: reads it, and remembers its place.
MILLRACE_NOINLINE inline json_step* json_scanner::surprise(json_object_plan& plan,
                                                           json_step& previous, const char* p,
                                                           const char*& at) {
  std::string_view name;
  at = key(json_skip_space(p, end_), name);
  if (at == nullptr) return nullptr;
  ++surprises_;
  calm_ = false;
  const json_field_plan* field = plan.keys.find(name);
  if (field == nullptr && plan_.options.unknown == json_unknown::reject) {
    at = nullptr;
    return nullptr;
  }
  json_step* known = field == nullptr ? nullptr : plan.step_of[field->index];
  if (known != nullptr) {
    known->learn(p, at);
    return known;
  }
  json_step* step = plan.shape.insert(previous, p, at);
  if (field != nullptr) {
    step->stands_for(*field);
    if (plan.shape.remembers(step)) plan.step_of[field->index] = step;
  }
  return step;
}

/// Gives the fields that were not there their values, unless one is required.
inline bool json_scanner::absent(const json_object_plan& plan, void* out,
                                 const std::uint64_t* seen) const {
  for (std::size_t word = 0; word < plan.words; ++word) {
    std::uint64_t missing = plan.all[word] & ~seen[word];
    for (; missing != 0; missing &= missing - 1) {
      const auto bit = static_cast<std::size_t>(std::countr_zero(missing));
      const json_field_plan& field = plan.fields[word * 64 + bit];
      if (!json_set_absent(field, out)) return false;
    }
  }
  return true;
}

inline const char* json_scanner::time(const json_value_plan& plan, void* out, const char* p) {
  timestamp t{};
  if (*p == '"') {
    std::string_view view;
    p = json_string(p + 1, end_, scratch_, view);
    if (p == nullptr) return nullptr;
    const auto parsed = parse_time(view);
    if (!parsed) return nullptr;
    t = *parsed;
  } else {
    std::int64_t number = 0;
    const char* after = json_integer(p, number);
    if (after == nullptr) return nullptr;
    if (*after == '.' || (*after | 0x20) == 'e') {
      bool whole = false;
      after = json_number_end(p, end_, whole);
      if (after == nullptr) return nullptr;
      if (!json_time_from({p, static_cast<std::size_t>(after - p)}, plan.time, t)) return nullptr;
    } else if (!json_time_from(number, plan.time, t)) {
      return nullptr;
    }
    p = after;
  }
  json_put(out, t);
  return p;
}

inline const char* json_scanner::duration(const json_value_plan& plan, void* out, const char* p) {
  std::int64_t number = 0;
  p = json_integer(p, number);
  if (p == nullptr || !json_duration_from(number, plan.time, *plan.type, number)) return nullptr;
  return json_put_integer(out, plan.type->number, number) ? p : nullptr;
}

inline const char* json_scanner::enumeration(const json_type& type, void* out, const char* p) {
  const json_enumerator* found = nullptr;
  if (*p == '"') {
    std::string_view name;
    p = json_string(p + 1, end_, scratch_, name);
    if (p != nullptr) found = json_enumerator_named(type, name);
  } else {
    std::int64_t number = 0;
    p = json_integer(p, number);
    if (p != nullptr) found = json_enumerator_of(type, number);
  }
  if (found == nullptr) return nullptr;
  json_put_enumerator(out, type, found->value);
  return p;
}

inline const char* json_scanner::list(const json_value_plan& plan, void* out, const char* p) {
  const bool fixed = plan.kind == json_kind::array;
  const json_container& container = plan.type->container;
  if (*p != '[' || depth_ == 0) return nullptr;
  --depth_;
  std::size_t count = 0;
  p = json_skip_space(p + 1, end_);
  if (p < end_ && *p == ']') {
    ++p;
  } else {
    for (;; ++count) {
      if (p >= end_ || (fixed && count == plan.type->extent)) return nullptr;
      void* slot = fixed ? static_cast<char*>(out) + count * plan.element->type->size
                         : container.at(out, count);
      p = value(*plan.element, slot, p);
      if (p == nullptr) return nullptr;
      p = json_skip_space(p, end_);
      if (p >= end_) return nullptr;
      const char c = *p++;
      if (c == ']') break;
      if (c != ',') return nullptr;
      p = json_skip_space(p, end_);
    }
    ++count;
  }
  ++depth_;
  if (fixed) return count == plan.type->extent ? p : nullptr;
  container.truncate(out, count);
  return p;
}

inline const char* json_scanner::map(const json_value_plan& plan, void* out, const char* p) {
  const json_container& container = plan.type->container;
  if (*p != '{' || depth_ == 0) return nullptr;
  --depth_;
  const std::size_t first = kept_.size();
  p = json_skip_space(p + 1, end_);
  if (p < end_ && *p == '}') {
    ++p;
  } else {
    for (;;) {
      std::string_view name;
      p = key(p, name);
      if (p == nullptr) break;
      key_.assign(name);
      void* slot = container.find(out, key_);
      kept_.push_back(slot);
      p = value(*plan.element, slot, p);
      if (p == nullptr) break;
      p = json_skip_space(p, end_);
      const char c = p < end_ ? *p++ : '\0';
      if (c == '}') break;
      p = c == ',' ? json_skip_space(p, end_) : nullptr;
      if (p == nullptr) break;
    }
  }
  ++depth_;
  json_retain(container, out, kept_, first);
  return p;
}

}  // namespace millrace::detail
