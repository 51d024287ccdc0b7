// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/detail/json_plan.hpp>
#include <millrace/codec/detail/json_value.hpp>
#include <millrace/codec/json.hpp>
#include <millrace/codec/json_writer.hpp>

namespace millrace::detail {

struct json_encoder_core::state {
  state(const json_type& type, const json_options& options) : plan(type, options) {}
  json_plan plan;
};

class json_encoding {
 public:
  json_encoding(const json_options& options, std::string& out) : options_(options), writer_(out) {}

  void value(const json_value_plan& plan, const void* in);

 private:
  void object(const json_object_plan& plan, const void* in);
  void list(const json_value_plan& plan, const void* in);
  void map(const json_value_plan& plan, const void* in);
  void dynamic(const dynamic_record& record);
  void enumeration(const json_type& type, const void* in);
  void time(timestamp t, json_time unit);

  const json_options& options_;
  json_writer writer_;
};

inline void json_encoding::value(const json_value_plan& plan, const void* in) {
  switch (plan.kind) {
    case json_kind::boolean: writer_.value(*static_cast<const bool*>(in)); return;
    case json_kind::uint64: writer_.value(json_load<std::uint64_t>(in)); return;
    case json_kind::int8:
    case json_kind::int16:
    case json_kind::int32:
    case json_kind::int64:
    case json_kind::uint8:
    case json_kind::uint16:
    case json_kind::uint32: writer_.value(json_get_integer(in, plan.kind)); return;
    case json_kind::float32: writer_.value(json_load<float>(in)); return;
    case json_kind::float64: writer_.value(json_load<double>(in)); return;
    case json_kind::text: writer_.value(*static_cast<const std::string*>(in)); return;
    case json_kind::text_view: writer_.value(*static_cast<const std::string_view*>(in)); return;
    case json_kind::timestamp: time(*static_cast<const timestamp*>(in), plan.time); return;
    case json_kind::duration:
      writer_.value(
          json_duration_to(json_get_integer(in, plan.type->number), plan.time, *plan.type));
      return;
    case json_kind::enumeration: enumeration(*plan.type, in); return;
    case json_kind::object: object(*plan.object, in); return;
    case json_kind::optional:
      if (const void* held = plan.type->container.peek(in); held != nullptr) {
        value(*plan.element, held);
      } else {
        writer_.null();
      }
      return;
    case json_kind::defaulted: value(*plan.element, in); return;
    case json_kind::sequence:
    case json_kind::array: list(plan, in); return;
    case json_kind::map: map(plan, in); return;
    case json_kind::dynamic: dynamic(*static_cast<const dynamic_record*>(in)); return;
    case json_kind::ignored: return;
  }
}

inline void json_encoding::object(const json_object_plan& plan, const void* in) {
  writer_.begin_object();
  for (const json_field_plan& field : plan.fields) {
    const void* member = static_cast<const char*>(in) + field.offset;
    const json_value_plan& inner =
        field.value.kind == json_kind::defaulted ? *field.value.element : field.value;
    if (inner.kind == json_kind::optional && options_.absent == json_absent::omit &&
        inner.type->container.peek(member) == nullptr) {
      continue;
    }
    writer_.raw_key(field.quoted);
    value(inner, member);
  }
  writer_.end_object();
}

inline void json_encoding::list(const json_value_plan& plan, const void* in) {
  writer_.begin_array();
  if (plan.kind == json_kind::array) {
    for (std::size_t i = 0; i < plan.type->extent; ++i) {
      value(*plan.element, static_cast<const char*>(in) + i * plan.element->type->size);
    }
  } else {
    // `at` changes nothing below the size.
    void* sequence = const_cast<void*>(in);
    const std::size_t size = plan.type->container.size(in);
    for (std::size_t i = 0; i < size; ++i) {
      value(*plan.element, plan.type->container.at(sequence, i));
    }
  }
  writer_.end_array();
}

inline void json_encoding::map(const json_value_plan& plan, const void* in) {
  class entries final : public json_map_visitor {
   public:
    entries(json_encoding& encoding, const json_value_plan& element)
        : encoding_(encoding), element_(element) {}
    void entry(std::string_view key, const void* value) override {
      encoding_.writer_.key(key);
      encoding_.value(element_, value);
    }

   private:
    json_encoding& encoding_;
    const json_value_plan& element_;
  };
  entries visitor(*this, *plan.element);
  writer_.begin_object();
  plan.type->container.visit(in, visitor);
  writer_.end_object();
}

inline void json_encoding::dynamic(const dynamic_record& record) {
  writer_.begin_object();
  for (field_index i = 0; i < record.field_count(); ++i) {
    if (!record.has(i)) continue;
    writer_.key(record.name(i));
    switch (record.kind(i)) {
      case field_kind::number: writer_.value(record.number(i)); break;
      case field_kind::text: writer_.value(record.text(i)); break;
      case field_kind::boolean: writer_.value(record.boolean(i)); break;
      case field_kind::ignored: writer_.null(); break;
    }
  }
  writer_.end_object();
}

inline void json_encoding::enumeration(const json_type& type, const void* in) {
  const std::int64_t number = json_get_integer(in, type.number);
  if (const json_enumerator* e = json_enumerator_of(type, number); e != nullptr) {
    writer_.value(e->name);
  } else if (type.number == json_kind::uint64) {
    writer_.value(static_cast<std::uint64_t>(number));
  } else {
    writer_.value(number);
  }
}

inline void json_encoding::time(timestamp t, json_time unit) {
  if (options_.timestamps == json_time_output::text) {
    writer_.value(t);
    return;
  }
  char text[32];
  writer_.raw({text, json_write_time(text, t, unit)});
}

MILLRACE_DECL json_encoder_core::json_encoder_core(const json_type& type,
                                                   const json_options& options)
    : state_(std::make_unique<state>(type, options)) {}

MILLRACE_DECL json_encoder_core::json_encoder_core(json_encoder_core&&) noexcept = default;
MILLRACE_DECL json_encoder_core& json_encoder_core::operator=(json_encoder_core&&) noexcept =
    default;
MILLRACE_DECL json_encoder_core::~json_encoder_core() = default;

MILLRACE_DECL void json_encoder_core::encode(const void* value, std::string& out) const {
  json_encoding(state_->plan.options, out).value(state_->plan.root, value);
}

}  // namespace millrace::detail
