// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/impl/json_reading.ipp>

namespace millrace::detail {

MILLRACE_DECL bool json_reading::time(const json_value_plan& plan, ondemand::value& v, void* out) {
  const std::string_view number = token(v);
  timestamp t{};
  if (number.starts_with('"')) {
    std::string_view view;
    if (v.get_string().get(view) != simdjson::SUCCESS) return unexpected(v, "a time");
    const auto parsed = parse_time(view);
    if (!parsed) return unexpected(v, "a time as in 2019-08-12T16:04:32Z");
    t = *parsed;
  } else {
    bool whole = false;
    const char* end = number.data() + number.size();
    if (json_number_end(number.data(), end, whole) != end) return unexpected(v, "a time");
    std::int64_t ticks = 0;
    const bool fits =
        whole ? json_integer(number.data(), ticks) == end && json_time_from(ticks, plan.time, t)
              : json_time_from(number, plan.time, t);
    if (!fits) return fail(errc::out_of_range, number.data(), "time beyond the years that exist");
  }
  json_put(out, t);
  return true;
}

MILLRACE_DECL bool json_reading::duration(const json_value_plan& plan, ondemand::value& v,
                                          void* out) {
  std::int64_t number = 0;
  if (v.get_int64().get(number) != simdjson::SUCCESS) return not_integer(v, "int64");
  if (json_duration_from(number, plan.time, *plan.type, number) &&
      json_put_integer(out, plan.type->number, number)) {
    return true;
  }
  return fail(errc::out_of_range, place(v), "a duration that its type cannot hold");
}

MILLRACE_DECL bool json_reading::enumeration(const json_type& type, ondemand::value& v, void* out) {
  const json_enumerator* found = nullptr;
  if (*place(v) == '"') {
    std::string_view name;
    if (!text(v, name)) return false;
    found = json_enumerator_named(type, name);
  } else {
    std::int64_t number = 0;
    if (v.get_int64().get(number) != simdjson::SUCCESS) return not_enumerator(type, v);
    found = json_enumerator_of(type, number);
  }
  if (found == nullptr) return not_enumerator(type, v);
  json_put_enumerator(out, type, found->value);
  return true;
}

MILLRACE_DECL bool json_reading::flat(ondemand::object o, dynamic_record& out, std::size_t level,
                                      const char* where) {
  if (!enter(where)) return false;
  for (auto item : o) {
    if (const auto e = item.error(); e) return broken(e);
    ondemand::field member = std::move(item).value_unsafe();
    std::string_view name;
    if (!key(member, name)) return false;
    if (!flat_value(member.value(), name, out, level)) return inside(name);
  }
  ++depth_;
  return true;
}

inline bool json_reading::flat_value(ondemand::value& v, std::string_view name, dynamic_record& out,
                                     std::size_t level) {
  const char first = *place(v);
  const std::size_t outer = prefix_.size();
  prefix_.append(name);
  const auto field = (*fields_)->find(prefix_);
  const bool ignored = field && (*fields_)->kind(*field) == field_kind::ignored;
  bool ok = true;
  if (first == '{' && level < plan_.options.flatten_depth && !ignored) {
    if (field) out.remove(*field);
    prefix_.push_back('.');
    const char* where = place(v);
    ondemand::object members;
    ok = v.get_object().get(members) == simdjson::SUCCESS ? flat(members, out, level + 1, where)
                                                          : unexpected(v, "an object");
  } else if (field && !ignored) {
    ok = flat_scalar(v, *field, out);
  } else {
    ok = check(v);
    if (ok && !field && first != '{' && first != '[' && first != 'n') {
      unlearnt_ = true;
      if (learn_into_ != nullptr) {
        learn_into_->learn(prefix_, first == '"'                   ? field_kind::text
                                    : first == 't' || first == 'f' ? field_kind::boolean
                                                                   : field_kind::number);
      }
    }
  }
  prefix_.resize(outer);
  return ok;
}

inline bool json_reading::flat_scalar(ondemand::value& v, field_index i, dynamic_record& out) {
  const std::string_view t = token(v);
  const field_kind kind = (*fields_)->kind(i);
  const bool number = t[0] == '-' || json_digit(t[0]) <= 9;
  if (kind == field_kind::number && number) {
    double value = 0;
    if (!real(v, value)) return false;
    out.set_number(i, value);
    return true;
  }
  if (kind == field_kind::text && number) {
    if (!check(v)) return false;
    out.set_text(i, t);
    return true;
  }
  if (kind == field_kind::text && t[0] == '"') {
    std::string_view view;
    if (!text(v, view)) return false;
    out.set_text(i, view);
    return true;
  }
  if (kind == field_kind::boolean && (t[0] == 't' || t[0] == 'f')) {
    bool value = false;
    if (v.get_bool().get(value) != simdjson::SUCCESS) return unexpected(v, "true or false");
    out.set_boolean(i, value);
    return true;
  }
  out.remove(i);
  return check(v);
}

}  // namespace millrace::detail
