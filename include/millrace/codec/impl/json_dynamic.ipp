// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/detail/json_scanner.hpp>

namespace millrace::detail {

/// Where the values of nested objects belong: the level of `key` under `plan`, or null when there
/// are too many.
inline json_flat_plan* json_flat_child(json_flat_plan& plan, std::string_view key) {
  const auto is_child = [&](const std::string& prefix) {
    return prefix.size() == plan.prefix.size() + key.size() + 1 &&
           prefix.compare(plan.prefix.size(), key.size(), key) == 0;
  };
  for (const auto& child : plan.children) {
    if (is_child(child->prefix)) return child.get();
  }
  if (plan.children.size() >= json_flat_plan::max_children) return nullptr;
  auto& child = plan.children.emplace_back(std::make_unique<json_flat_plan>());
  child->prefix.append(plan.prefix).append(key).append(1, '.');
  child->depth = plan.depth + 1;
  return child.get();
}

struct json_scanner::flat_reader {
  json_scanner& scanner;
  json_flat_plan& plan;
  dynamic_record& out;

  const char* value(json_step& step, const char* p) {
    return scanner.flat_value(plan, step, out, p);
  }
  json_step* surprise(json_step& previous, const char* p, const char*& at) {
    return scanner.flat_surprise(plan, previous, p, at);
  }
};

MILLRACE_DECL const char* json_scanner::dynamic(void* out, const char* p) {
  auto& record = *static_cast<dynamic_record*>(out);
  record.reset(fields_);
  return flat(flat_, record, p);
}

inline const char* json_scanner::flat(json_flat_plan& plan, dynamic_record& out, const char* p) {
  if (*p != '{' || depth_ == 0) return nullptr;
  --depth_;
  flat_reader reader{*this, plan, out};
  p = members(plan.shape, p + 1, reader);
  ++depth_;
  return p;
}

inline json_step* json_scanner::flat_surprise(json_flat_plan& plan, json_step& previous,
                                              const char* p, const char*& at) {
  std::string_view name;
  at = key(json_skip_space(p, end_), name);
  if (at == nullptr) return nullptr;
  ++surprises_;
  calm_ = false;
  key_.assign(plan.prefix).append(name);
  const auto field = fields_->find(key_);
  if (field && *field < plan.step_of.size() && plan.step_of[*field] != nullptr) {
    plan.step_of[*field]->learn(p, at);
    return plan.step_of[*field];
  }
  json_step* step = plan.shape.insert(previous, p, at);
  step->known = field.has_value();
  if (field) {
    step->index = *field;
    step->field_is = fields_->kind(*field);
    if (plan.step_of.size() <= *field) plan.step_of.resize(fields_->size());
    if (plan.shape.remembers(step)) plan.step_of[*field] = step;
  }
  if (*at == '{' && plan.depth < plan_.options.flatten_depth) {
    step->nested = json_flat_child(plan, name);
  }
  return step;
}

inline const char* json_scanner::flat_value(json_flat_plan& plan, json_step& step,
                                            dynamic_record& out, const char* p) {
  if (step.known && step.field_is == field_kind::ignored) {
    return json_skip(p, end_, depth_, scratch_);
  }
  const char first = *p;
  if (first == '{' && plan.depth < plan_.options.flatten_depth) {
    if (step.known) out.remove(step.index);
    if (step.nested == nullptr) {
      // The key opened no object when it was learnt; its name stands in the document only.
      const char* quote = static_cast<const char*>(std::memchr(step.text, '"', step.length));
      std::string_view name;
      const char* from = quote == nullptr ? nullptr : quote + 1;
      if (from != nullptr && json_string(from, step.text + step.length, scratch_, name)) {
        step.nested = json_flat_child(plan, name);
      }
    }
    return step.nested == nullptr ? nullptr : flat(*step.nested, out, p);
  }
  if (step.known) return flat_scalar(step, out, p);
  const bool learnable = first != '{' && first != '[' && first != 'n';
  if (learnable && !full_) return nullptr;
  return json_skip(p, end_, depth_, scratch_);
}

/// A value for a field of the schema. One of another kind leaves the field missing.
inline const char* json_scanner::flat_scalar(const json_step& step, dynamic_record& out,
                                             const char* p) {
  const bool number = *p == '-' || json_digit(*p) <= 9;
  if (step.field_is == field_kind::number && number) {
    double value = 0;
    p = json_double(p, end_, value);
    if (p != nullptr) out.set_number(step.index, value);
    return p;
  }
  if (step.field_is == field_kind::text && (number || *p == '"')) {
    bool whole = false;
    std::string_view text;
    const char* after =
        number ? json_number_end(p, end_, whole) : json_string(p + 1, end_, scratch_, text);
    if (after == nullptr) return nullptr;
    if (number) text = {p, static_cast<std::size_t>(after - p)};
    out.set_text(step.index, text);
    return after;
  }
  if (step.field_is == field_kind::boolean && (*p == 't' || *p == 'f')) {
    bool value = false;
    p = json_boolean(p, value);
    out.set_boolean(step.index, value);
    return p;
  }
  out.remove(step.index);
  return json_skip(p, end_, depth_, scratch_);
}

}  // namespace millrace::detail
