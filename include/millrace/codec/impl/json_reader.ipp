// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/impl/json_reading.ipp>

#include <bit>

namespace millrace::detail {

MILLRACE_DECL json_reader::json_reader(json_plan& plan)
    : reading_(std::make_unique<json_reading>(plan)) {}

MILLRACE_DECL json_reader::~json_reader() = default;

MILLRACE_DECL result<void> json_reader::read(std::string_view text, void* out, schema_ptr& fields,
                                             schema_registry* registry) {
  return reading_->read(text, out, fields, registry);
}

inline bool json_reading::root(std::string_view text, void* out) {
  document_text_ = text;
  depth_ = plan_.options.max_depth;
  path_.clear();
  kept_.clear();
  prefix_.clear();
  const simdjson::padded_string_view padded(text.data(), text.size(), text.size() + json_padding);
  if (const auto e = parser_.iterate(padded).get(document_); e) return broken(e);
  const json_value_plan& plan = plan_.root;
  const char* where = json_skip_space(text.data(), text.data() + text.size());
  bool ok = false;
  if (plan.kind == json_kind::sequence || plan.kind == json_kind::array) {
    ondemand::array array;
    if (const auto e = document_.get_array().get(array); e) return wrong_root(e, "an array");
    ok = list(plan, array, out, where);
  } else {
    ondemand::object members;
    if (const auto e = document_.get_object().get(members); e) return wrong_root(e, "an object");
    if (plan.kind == json_kind::map) {
      ok = map(plan, members, out, where);
    } else if (plan.kind == json_kind::dynamic) {
      auto& record = *static_cast<dynamic_record*>(out);
      record.reset(*fields_);
      ok = flat(members, record, 0, where);
    } else {
      ok = object(*plan.object, members, out, where);
    }
  }
  if (!ok) return false;
  const char* rest = nullptr;
  if (document_.current_location().get(rest) != simdjson::SUCCESS) return true;
  return fail(errc::malformed, rest, "expected the end of the document");
}

template <class N>
inline bool json_reading::integer(ondemand::value& v, void* out) {
  if constexpr (std::is_same_v<N, std::uint64_t>) {
    std::uint64_t number = 0;
    if (v.get_uint64().get(number) != simdjson::SUCCESS) return not_integer(v, "uint64");
    json_put(out, number);
    return true;
  } else {
    std::int64_t number = 0;
    if (v.get_int64().get(number) == simdjson::SUCCESS && json_put_integer<N>(out, number)) {
      return true;
    }
    static constexpr const char* names[2][4] = {{"int8", "int16", "int32", "int64"},
                                                {"uint8", "uint16", "uint32", "uint64"}};
    return not_integer(v, names[std::is_unsigned_v<N>][std::countr_zero(sizeof(N))]);
  }
}

inline bool json_reading::floating(ondemand::value& v, json_kind kind, void* out) {
  double number = 0;
  if (!real(v, number)) return false;
  if (kind == json_kind::float64) {
    json_put(out, number);
    return true;
  }
  return json_put_float(out, number) || not_double(v, "float");
}

inline bool json_reading::null(ondemand::value& v, bool& is_null) {
  is_null = *place(v) == 'n';
  if (!is_null) return true;
  bool valid = false;
  if (v.is_null().get(valid) != simdjson::SUCCESS || !valid) return unexpected(v, "null");
  return true;
}

MILLRACE_ALWAYS_INLINE bool json_reading::value(const json_value_plan& plan, ondemand::value& v,
                                                void* out) {
  switch (plan.kind) {
    case json_kind::boolean: {
      bool flag = false;
      if (v.get_bool().get(flag) != simdjson::SUCCESS) return unexpected(v, "true or false");
      json_put(out, flag);
      return true;
    }
    case json_kind::int32: return integer<std::int32_t>(v, out);
    case json_kind::int64: return integer<std::int64_t>(v, out);
    case json_kind::float64: return floating(v, plan.kind, out);
    case json_kind::text: {
      std::string_view view;
      if (!text(v, view)) return false;
      json_put_text(out, view);
      return true;
    }
    default: return other(plan, v, out);
  }
}

/// All kinds, but for the most frequent ones.
MILLRACE_NOINLINE inline bool json_reading::other(const json_value_plan& plan, ondemand::value& v,
                                                  void* out) {
  switch (plan.kind) {
    case json_kind::int8: return integer<std::int8_t>(v, out);
    case json_kind::int16: return integer<std::int16_t>(v, out);
    case json_kind::uint8: return integer<std::uint8_t>(v, out);
    case json_kind::uint16: return integer<std::uint16_t>(v, out);
    case json_kind::uint32: return integer<std::uint32_t>(v, out);
    case json_kind::uint64: return integer<std::uint64_t>(v, out);
    case json_kind::float32: return floating(v, plan.kind, out);
    case json_kind::timestamp: return time(plan, v, out);
    case json_kind::duration: return duration(plan, v, out);
    case json_kind::enumeration: return enumeration(*plan.type, v, out);
    case json_kind::optional:
    case json_kind::defaulted: return nullable(plan, v, out);
    default: return nested(plan, v, out);
  }
}

inline bool json_reading::nullable(const json_value_plan& plan, ondemand::value& v, void* out) {
  bool is_null = false;
  if (!null(v, is_null)) return false;
  const bool optional = plan.kind == json_kind::optional;
  if (!is_null) {
    return value(*plan.element, v, optional ? plan.type->container.engage(out) : out);
  }
  if (optional) {
    plan.type->container.reset(out);
  } else {
    plan.field->member->set_default(static_cast<char*>(out) - plan.field->offset);
  }
  return true;
}

inline bool json_reading::nested(const json_value_plan& plan, ondemand::value& v, void* out) {
  const char* where = place(v);
  if (plan.kind == json_kind::sequence || plan.kind == json_kind::array) {
    ondemand::array array;
    if (v.get_array().get(array) != simdjson::SUCCESS) return unexpected(v, "an array");
    return list(plan, array, out, where);
  }
  ondemand::object members;
  if (v.get_object().get(members) != simdjson::SUCCESS) return unexpected(v, "an object");
  if (plan.kind == json_kind::object) return object(*plan.object, members, out, where);
  if (plan.kind == json_kind::map) return map(plan, members, out, where);
  auto& record = *static_cast<dynamic_record*>(out);
  record.reset(*fields_);
  const std::string outer = std::exchange(prefix_, {});
  const bool ok = flat(members, record, 0, where);
  prefix_ = outer;
  return ok;
}

inline bool json_reading::object(json_object_plan& plan, ondemand::object o, void* out,
                                 const char* where) {
  if (!enter(where)) return false;
  for (const json_member* member : plan.ignored) member->set_default(out);
  std::uint64_t seen[json_object_plan::max_words] = {};
  const json_field_plan* next = plan.fields.data();  // most come in the order of their description
  const json_field_plan* const end = next + plan.fields.size();
  const char* const text_end = document_text_.data() + document_text_.size();
  for (auto item : o) {
    if (const auto e = item.error(); e) return broken(e);
    ondemand::field member = std::move(item).value_unsafe();
    const json_field_plan* field = next;
    if (field == end || !field->key.matches(member.key().raw(), text_end)) {
      std::string_view name;
      if (!key(member, name)) return false;
      field = plan.keys.find(name);
      if (field == nullptr) {
        if (plan_.options.unknown == json_unknown::reject) return unknown(name, member.value());
        if (!check(member.value())) return inside(name);
        continue;
      }
    }
    next = field + 1;
    seen[field->index / 64] |= std::uint64_t{1} << (field->index % 64);
    if (!value(field->value, member.value(), static_cast<char*>(out) + field->offset)) {
      return inside(field->member->name);
    }
  }
  ++depth_;
  return absent(plan, out, seen, where);
}

inline bool json_reading::absent(const json_object_plan& plan, void* out, const std::uint64_t* seen,
                                 const char* where) {
  for (std::size_t word = 0; word < plan.words; ++word) {
    std::uint64_t missing = plan.all[word] & ~seen[word];
    for (; missing != 0; missing &= missing - 1) {
      const auto bit = static_cast<std::size_t>(std::countr_zero(missing));
      const json_field_plan& field = plan.fields[word * 64 + bit];
      if (!json_set_absent(field, out)) {
        fail(errc::missing_field, where, "is required and missing in the object");
        return inside(field.member->name);
      }
    }
  }
  return true;
}

inline bool json_reading::list(const json_value_plan& plan, ondemand::array a, void* out,
                               const char* where) {
  const bool fixed = plan.kind == json_kind::array;
  const json_container& container = plan.type->container;
  if (!enter(where)) return false;
  std::size_t count = 0;
  for (auto item : a) {
    if (const auto e = item.error(); e) return broken(e);
    ondemand::value element = std::move(item).value_unsafe();
    if (fixed && count == plan.type->extent) return wrong_extent(plan, where);
    void* slot = fixed ? static_cast<char*>(out) + count * plan.element->type->size
                       : container.at(out, count);
    if (!value(*plan.element, element, slot)) return inside('[' + std::to_string(count) + ']');
    ++count;
  }
  ++depth_;
  if (fixed) return count == plan.type->extent || wrong_extent(plan, where);
  container.truncate(out, count);
  return true;
}

inline bool json_reading::map(const json_value_plan& plan, ondemand::object o, void* out,
                              const char* where) {
  if (!enter(where)) return false;
  const std::size_t first = kept_.size();
  for (auto item : o) {
    if (const auto e = item.error(); e) return broken(e);
    ondemand::field member = std::move(item).value_unsafe();
    std::string_view name;
    if (!key(member, name)) return false;
    key_.assign(name);
    void* slot = plan.type->container.find(out, key_);
    kept_.push_back(slot);
    if (!value(*plan.element, member.value(), slot)) return inside(name);
  }
  ++depth_;
  json_retain(plan.type->container, out, kept_, first);
  return true;
}

}  // namespace millrace::detail
