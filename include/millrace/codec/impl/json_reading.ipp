// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/detail/json_reader.hpp>
#include <millrace/codec/detail/json_value.hpp>
#include <millrace/codec/detail/on_demand.hpp>
#include <millrace/record/buffer.hpp>

#include <simdjson.h>

#include <string>
#include <utility>

namespace millrace::detail {

namespace ondemand = simdjson::ondemand;

static_assert(simdjson::SIMDJSON_PADDING <= json_padding && json_padding <= shared_buffer::padding);

/// One decoder's parser, and the error of the document at hand. Functions return false after they
/// have noted what is wrong.
class json_reading {
 public:
  explicit json_reading(json_plan& plan) : plan_(plan) {}

  result<void> read(std::string_view text, void* out, schema_ptr& fields,
                    schema_registry* registry) {
    fields_ = &fields;
    learn_into_ = nullptr;
    unlearnt_ = false;
    if (!root(text, out)) return failure();
    if (unlearnt_ && registry != nullptr) {
      learn_into_ = registry;
      const bool known_valid = root(text, out);
      learn_into_ = nullptr;
      fields = registry->current();
      if (!known_valid || !root(text, out)) return failure();
    }
    return {};
  }

 private:
  bool root(std::string_view text, void* out);
  bool value(const json_value_plan& plan, ondemand::value& v, void* out);
  bool other(const json_value_plan& plan, ondemand::value& v, void* out);
  bool nullable(const json_value_plan& plan, ondemand::value& v, void* out);
  bool nested(const json_value_plan& plan, ondemand::value& v, void* out);
  bool object(json_object_plan& plan, ondemand::object o, void* out, const char* where);
  bool absent(const json_object_plan& plan, void* out, const std::uint64_t* seen,
              const char* where);
  bool list(const json_value_plan& plan, ondemand::array a, void* out, const char* where);
  bool map(const json_value_plan& plan, ondemand::object o, void* out, const char* where);
  bool key(ondemand::field& field, std::string_view& name);
  bool enter(const char* where);

  template <class N>
  bool integer(ondemand::value& v, void* out);
  bool floating(ondemand::value& v, json_kind kind, void* out);
  bool text(ondemand::value& v, std::string_view& out);
  bool null(ondemand::value& v, bool& is_null);

  // json_reader_scalars.ipp
  MILLRACE_DECL bool time(const json_value_plan& plan, ondemand::value& v, void* out);
  MILLRACE_DECL bool duration(const json_value_plan& plan, ondemand::value& v, void* out);
  MILLRACE_DECL bool enumeration(const json_type& type, ondemand::value& v, void* out);
  MILLRACE_DECL bool flat(ondemand::object o, dynamic_record& out, std::size_t level,
                          const char* where);
  bool flat_value(ondemand::value& v, std::string_view name, dynamic_record& out,
                  std::size_t level);
  bool flat_scalar(ondemand::value& v, field_index i, dynamic_record& out);

  /// Checks a value that nobody wants. It stays where it is: simdjson steps over it.
  bool check(ondemand::value& v) {
    const char* from = place(v);
    const char* end = document_text_.data() + document_text_.size();
    const char* after = json_skip(from, end, depth_, scratch_);
    if (after == nullptr) return invalid(from);
    return ends(after) || invalid(after);
  }

  /// A double. simdjson's own are not used: 3.0 gets numbers with more than 19 digits and a zero
  /// before the point wrong (0.09199999999999999844568777).
  bool real(ondemand::value& v, double& out) {
    const char* after = json_double(place(v), document_text_.data() + document_text_.size(), out);
    return (after != nullptr && ends(after)) || not_double(v, "double");
  }

  /// Whether a value may end here.
  bool ends(const char* p) const {
    const char* end = document_text_.data() + document_text_.size();
    p = json_skip_space(p, end);
    return p >= end || *p == ',' || *p == '}' || *p == ']';
  }

  static std::string_view token(ondemand::value& v) {
    std::string_view t = v.raw_json_token();
    while (!t.empty() && json_space(t.back())) t.remove_suffix(1);
    return t;
  }
  static const char* place(ondemand::value& v) { return v.raw_json_token().data(); }

  // What is wrong (json_reader_errors.ipp). All return false.
  MILLRACE_DECL bool fail(errc code, const char* where, std::string what);
  MILLRACE_DECL bool broken(simdjson::error_code code);
  MILLRACE_DECL bool invalid(const char* where);
  MILLRACE_DECL bool wrong_root(simdjson::error_code code, const char* expected);
  MILLRACE_DECL bool wrong_extent(const json_value_plan& plan, const char* where);
  MILLRACE_DECL bool unexpected(ondemand::value& v, const char* expected);
  MILLRACE_DECL bool not_integer(ondemand::value& v, const char* type);
  MILLRACE_DECL bool not_double(ondemand::value& v, const char* type);
  MILLRACE_DECL bool not_enumerator(const json_type& type, ondemand::value& v);
  MILLRACE_DECL bool unknown(std::string_view name, ondemand::value& v);
  MILLRACE_DECL bool inside(std::string_view member);
  MILLRACE_DECL result<void> failure();

  json_plan& plan_;
  ondemand::parser parser_;
  ondemand::document document_;
  std::string_view document_text_;
  std::size_t depth_ = 0;  // what may still be nested
  std::string scratch_;
  std::string key_;
  std::vector<const void*> kept_;
  std::string prefix_;  // of the level of a dynamic record
  schema_ptr* fields_ = nullptr;
  schema_registry* learn_into_ = nullptr;
  bool unlearnt_ = false;

  errc code_{};
  const char* where_ = nullptr;
  std::string path_;
  std::string what_;
};

inline bool json_reading::enter(const char* where) {
  if (depth_ == 0) {
    return fail(errc::too_large, where,
                "nested more deeply than " + std::to_string(plan_.options.max_depth) + " levels");
  }
  --depth_;
  return true;
}

/// The name of a field; most have no escapes and need no copy.
inline bool json_reading::key(ondemand::field& field, std::string_view& name) {
  const char* raw = field.key().raw();
  const char* end = document_text_.data() + document_text_.size();
  const char* at = json_special(raw, end);
  if (at < end && *at == '"') {
    name = {raw, static_cast<std::size_t>(at - raw)};
    return true;
  }
  if (const auto e = unescaped_key(field).get(name); e) return broken(e);
  return true;
}

inline bool json_reading::text(ondemand::value& v, std::string_view& out) {
  if (v.get_string().get(out) == simdjson::SUCCESS) return true;
  return unexpected(v, "a string");
}

}  // namespace millrace::detail
