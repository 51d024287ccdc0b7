// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/detail/json_plan.hpp>
#include <millrace/codec/json_writer.hpp>

#include <algorithm>
#include <new>

namespace millrace::detail {

/// Storage that looks like an object of the type, to take the addresses of its members from.
class json_blank {
 public:
  explicit json_blank(const json_type& type)
      : alignment_(std::align_val_t{type.alignment}),
        memory_(::operator new(type.size, alignment_)) {}
  json_blank(const json_blank&) = delete;
  json_blank& operator=(const json_blank&) = delete;
  ~json_blank() { ::operator delete(memory_, alignment_); }

  std::size_t offset_of(const json_member& member) const {
    return static_cast<std::size_t>(static_cast<char*>(member.locate(memory_)) -
                                    static_cast<char*>(memory_));
  }

 private:
  std::align_val_t alignment_;
  void* memory_;
};

inline void json_key_table::build(const std::vector<json_field_plan>& fields) {
  std::size_t size = 4;
  shift_ = 62;
  while (size < fields.size() * 2 + 1) {
    size *= 2;
    --shift_;
  }
  slots_.assign(size, nullptr);
  for (const json_field_plan& field : fields) {
    std::size_t i = hash(field.member->name) >> shift_;
    while (slots_[i & (size - 1)] != nullptr) ++i;
    slots_[i & (size - 1)] = &field;
  }
}

MILLRACE_DECL json_plan::json_plan(const json_type& type, const json_options& chosen)
    : options(chosen) {
  options.max_depth = std::clamp<std::size_t>(options.max_depth, 1, 512);
  if (options.timestamp_unit == json_time::unspecified) options.timestamp_unit = json_time::seconds;
  root = value(type, json_time::unspecified);
}

inline json_value_plan json_plan::value(const json_type& type, json_time time) {
  json_value_plan plan{.kind = type.kind, .time = time, .type = &type};
  switch (type.kind) {
    case json_kind::timestamp:
      if (time == json_time::unspecified) plan.time = options.timestamp_unit;
      break;
    case json_kind::duration:
      if (time == json_time::unspecified || type.number == json_kind::float32 ||
          type.number == json_kind::float64) {
        plan.kind = type.number;
      }
      break;
    case json_kind::object: plan.object = object(type); break;
    case json_kind::dynamic: has_dynamic = true; break;
    case json_kind::text_view: has_view = true; break;
    default: break;
  }
  if (type.element != nullptr) plan.element = &values.emplace_back(value(*type.element, time));
  return plan;
}

inline json_object_plan* json_plan::object(const json_type& type) {
  if (const auto known = by_type.find(&type); known != by_type.end()) return known->second;
  json_object_plan& plan = objects.emplace_back();
  by_type.emplace(&type, &plan);
  const json_blank blank(type);
  plan.fields.reserve(type.members.size());
  for (const json_member& member : type.members) {
    if (member.ignored) {
      plan.ignored.push_back(&member);
      continue;
    }
    json_field_plan field;
    field.value = value(*member.type, member.time);
    field.offset = blank.offset_of(member);
    field.index = plan.fields.size();
    field.member = &member;
    append_json_string(field.quoted, member.name);
    if (const char* quoted = field.quoted.data(); field.quoted.size() == member.name.size() + 2) {
      field.key.learn(quoted + 1, quoted + field.quoted.size());
    }
    field.quoted.push_back(':');
    plan.all[field.index / 64] |= std::uint64_t{1} << (field.index % 64);
    plan.fields.push_back(std::move(field));
  }
  for (json_field_plan& field : plan.fields) {
    if (field.member->set_default == nullptr) continue;
    const json_value_plan& inner = values.emplace_back(field.value);
    field.value = {
        .kind = json_kind::defaulted, .type = inner.type, .element = &inner, .field = &field};
  }
  plan.words = (plan.fields.size() + 63) / 64;
  plan.step_of.assign(plan.fields.size(), nullptr);
  plan.keys.build(plan.fields);
  return &plan;
}

}  // namespace millrace::detail
