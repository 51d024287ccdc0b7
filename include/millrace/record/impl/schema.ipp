// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/record/schema.hpp>

#include <atomic>
#include <stdexcept>

namespace millrace {

namespace detail {

inline std::uint64_t next_schema_lineage() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace detail

MILLRACE_DECL schema::schema(std::vector<field> fields)
    : fields_(std::move(fields)), lineage_(detail::next_schema_lineage()) {
  for (std::size_t i = 0; i < fields_.size(); ++i) index(static_cast<field_index>(i));
}

MILLRACE_DECL schema::schema(const schema& earlier, field added)
    : fields_(earlier.fields_),
      numbers_(earlier.numbers_),
      by_name_(earlier.by_name_),
      lineage_(earlier.lineage_),
      version_(earlier.version_ + 1) {
  fields_.push_back(std::move(added));
  index(static_cast<field_index>(fields_.size() - 1));
}

MILLRACE_DECL void schema::index(field_index i) {
  if (!by_name_.emplace(fields_[i].name, i).second) {
    throw std::invalid_argument("schema: the field '" + fields_[i].name + "' stands twice");
  }
  if (fields_[i].kind == field_kind::number) numbers_.push_back(i);
}

MILLRACE_DECL std::optional<field_index> schema::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return std::nullopt;
  return found->second;
}

MILLRACE_DECL bool names_identifier(std::string_view name) noexcept {
  if (name == "id" || name == "uuid" || name == "Id" || name == "ID") return true;
  for (const std::string_view end : {"_id", "-id", ".id", "Id", "ID"}) {
    if (name.size() > end.size() && name.substr(name.size() - end.size()) == end) return true;
  }
  return false;
}

MILLRACE_DECL schema_registry::schema_registry(inferred_fields rule)
    : max_fields_(rule.max_fields), learning_records_(rule.records) {
  std::vector<schema::field> fields;
  for (std::string& name : rule.text) fields.push_back({std::move(name), field_kind::text});
  for (std::string& name : rule.ignored) fields.push_back({std::move(name), field_kind::ignored});
  current_ = std::make_shared<const schema>(std::move(fields));
}

MILLRACE_DECL schema_registry::schema_registry(numeric_fields rule)
    : other_numbers_(field_kind::ignored) {
  std::vector<schema::field> fields;
  for (std::string& name : rule.names) fields.push_back({std::move(name), field_kind::number});
  current_ = std::make_shared<const schema>(std::move(fields));
}

MILLRACE_DECL schema_registry::schema_registry(std::vector<schema::field> fields)
    : current_(std::make_shared<const schema>(std::move(fields))), learning_records_(0) {
  max_fields_ = current_->size();
}

MILLRACE_DECL schema_ptr schema_registry::learn(std::string_view name, field_kind kind) {
  const std::lock_guard lock(mutex_);
  if (current_->find(name)) return current_;
  if (current_->size() >= max_fields_) {
    ++refused_;
    return current_;
  }
  if (kind == field_kind::number) {
    kind = names_identifier(name) ? field_kind::text : other_numbers_;
  }
  current_ = std::make_shared<const schema>(*current_, schema::field{std::string(name), kind});
  return current_;
}

MILLRACE_DECL const std::vector<field_index>& schema_projection::map(const schema& from) {
  if (lineage_ != from.lineage()) {
    lineage_ = from.lineage();
    mapped_.clear();
  }
  while (mapped_.size() < from.size()) {
    const std::string& name = from.name(static_cast<field_index>(mapped_.size()));
    const auto [at, added] = by_name_.emplace(name, static_cast<field_index>(names_.size()));
    if (added) names_.push_back(name);
    mapped_.push_back(at->second);
  }
  return mapped_;
}

}  // namespace millrace
