// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/detail/json_plan.hpp>
#include <millrace/codec/detail/json_reader.hpp>
#include <millrace/codec/detail/json_scanner.hpp>
#include <millrace/codec/json.hpp>

#include <cstring>

namespace millrace::detail {

struct json_decoder_core::state {
  state(const json_type& type, const json_options& options, std::shared_ptr<schema_registry> chosen)
      : plan(type, options), registry(std::move(chosen)), scanner(plan), reader(plan) {
    if (plan.has_view) {
      throw topology_error(
          "json: a std::string_view would outlive the document it was read from; use std::string");
    }
    if (!plan.has_dynamic) {
      registry = nullptr;
    } else if (registry == nullptr) {
      registry = std::make_shared<schema_registry>();
    }
    if (registry != nullptr) fields = registry->current();
  }

  /// The text with readable bytes behind it.
  std::string_view padded(payload_view bytes) {
    if (bytes.readable >= bytes.bytes.size() + json_padding) return bytes.bytes;
    const std::size_t size = bytes.bytes.size();
    if (copy.size() < size + json_padding) copy.resize(size + json_padding);
    if (size != 0) std::memcpy(copy.data(), bytes.bytes.data(), size);
    std::memset(copy.data() + size, 0, json_padding);
    return {copy.data(), size};
  }

  bool learns() const {
    return documents < registry->learning_records() && fields->size() < registry->max_fields();
  }

  json_plan plan;
  std::shared_ptr<schema_registry> registry;  // of dynamic records
  schema_ptr fields;
  json_scanner scanner;
  json_reader reader;
  std::string copy;
  std::uint64_t documents = 0;
  std::uint64_t slow = 0;
  bool exact_only = false;
};

MILLRACE_DECL json_decoder_core::json_decoder_core(const json_type& type,
                                                   const json_options& options,
                                                   std::shared_ptr<schema_registry> registry)
    : state_(std::make_unique<state>(type, options, std::move(registry))) {}

MILLRACE_DECL json_decoder_core::json_decoder_core(json_decoder_core&&) noexcept = default;
MILLRACE_DECL json_decoder_core& json_decoder_core::operator=(json_decoder_core&&) noexcept =
    default;
MILLRACE_DECL json_decoder_core::~json_decoder_core() = default;

MILLRACE_DECL result<void> json_decoder_core::decode(payload_view bytes, void* out) {
  state& s = *state_;
  if (bytes.bytes.size() > s.plan.options.max_bytes) {
    return {errc::too_large, std::to_string(bytes.bytes.size()) + " bytes of JSON, more than " +
                                 std::to_string(s.plan.options.max_bytes)};
  }
  const std::string_view text = s.padded(bytes);
  const bool learns = s.registry != nullptr && s.learns();
  ++s.documents;
  if (!s.exact_only && s.scanner.scan(text, out, s.fields, !learns)) return {};
  ++s.slow;
  return s.reader.read(text, out, s.fields, learns ? s.registry.get() : nullptr);
}

MILLRACE_DECL std::uint64_t json_decoder_core::slow_documents() const noexcept {
  return state_->slow;
}

MILLRACE_DECL void json_decoder_core::use_exact_reader_only() noexcept {
  state_->exact_only = true;
}

}  // namespace millrace::detail

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/codec/impl/json_dynamic.ipp>
#include <millrace/codec/impl/json_encoder.ipp>
#include <millrace/codec/impl/json_plan.ipp>
#include <millrace/codec/impl/json_reader.ipp>
#include <millrace/codec/impl/json_reader_errors.ipp>
#include <millrace/codec/impl/json_reader_scalars.ipp>
#include <millrace/codec/impl/json_scanner.ipp>
#endif
