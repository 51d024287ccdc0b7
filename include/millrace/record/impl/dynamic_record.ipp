// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/record/dynamic_record.hpp>

namespace millrace {

MILLRACE_DECL void dynamic_record::adopt(const schema_ptr& fields) {
  const std::size_t count = fields == nullptr ? 0 : fields->size();
  // Room first: a failed allocation leaves the old schema with enough cells.
  more_cells_.resize(count > inline_fields ? count - inline_fields : 0);
  const std::size_t words = (count + 63) / 64;
  more_present_.resize(words > inline_words ? words - inline_words : 0);
  schema_ = fields;
  count_ = count;
}

MILLRACE_DECL std::optional<field_index> dynamic_record::lookup(std::string_view name,
                                                                field_kind kind) const {
  if (schema_ == nullptr) return std::nullopt;
  const auto i = schema_->find(name);
  if (!i || !has(*i) || schema_->kind(*i) != kind) return std::nullopt;
  return i;
}

MILLRACE_DECL bool dynamic_record::covers(const dynamic_record& other) const {
  for (field_index i = 0; i < other.count_; ++i) {
    if (!other.has(i)) continue;
    const auto mine = lookup(other.name(i), other.kind(i));
    if (!mine) return false;
    switch (other.kind(i)) {
      case field_kind::number:
        if (number(*mine) != other.number(i)) return false;
        break;
      case field_kind::text:
        if (text(*mine) != other.text(i)) return false;
        break;
      case field_kind::boolean:
        if (boolean(*mine) != other.boolean(i)) return false;
        break;
      case field_kind::ignored: break;
    }
  }
  return true;
}

}  // namespace millrace
