// SPDX-License-Identifier: Apache-2.0
/// \file
/// JSON to described structs and dynamic records, and back, without a tree in between. `json` is
/// the codec with default options; a decoder or encoder belongs to one thread.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>
#include <millrace/codec/codec.hpp>
#include <millrace/codec/detail/json_table.hpp>
#include <millrace/codec/json_options.hpp>
#include <millrace/record/schema.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

namespace detail {

class json_decoder_core {
 public:
  MILLRACE_DECL json_decoder_core(const json_type& type, const json_options& options,
                                  std::shared_ptr<schema_registry> registry);
  MILLRACE_DECL json_decoder_core(json_decoder_core&&) noexcept;
  MILLRACE_DECL json_decoder_core& operator=(json_decoder_core&&) noexcept;
  MILLRACE_DECL ~json_decoder_core();
  MILLRACE_DECL result<void> decode(payload_view bytes, void* out);
  MILLRACE_DECL std::uint64_t slow_documents() const noexcept;
  MILLRACE_DECL void use_exact_reader_only() noexcept;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

class json_encoder_core {
 public:
  MILLRACE_DECL json_encoder_core(const json_type& type, const json_options& options);
  MILLRACE_DECL json_encoder_core(json_encoder_core&&) noexcept;
  MILLRACE_DECL json_encoder_core& operator=(json_encoder_core&&) noexcept;
  MILLRACE_DECL ~json_encoder_core();
  MILLRACE_DECL void encode(const void* value, std::string& out) const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace detail

/// Types that can be a whole document: described structs, `dynamic_record`, `std::vector`,
/// `std::array`, and maps from `std::string`.
template <class T>
concept json_document = detail::json_described_struct<T> || std::same_as<T, dynamic_record> ||
                        detail::json_is_vector<T> || detail::json_array<T> || detail::json_map<T>;

/// Reads documents into values of type `T`.
///
/// The order of members does not matter, but a stream of documents with the same order is read
/// about twice as fast. Of several members with one name the last counts. Members that are not
/// described are skipped (or rejected), and checked like everything else: every document that is
/// accepted is valid JSON in valid UTF-8, with nothing but white space behind it. Integers have no
/// fraction and no exponent; numbers out of the range of their type are errors; an enumeration is
/// the name or the value of one of its enumerators; a time is a number or ISO 8601 text
/// (`parse_time`), whatever its unit. `null` stands for the absence of optional and defaulted
/// members, and for nothing else.
///
/// In a `dynamic_record` numbers are doubles (integers are exact up to 2^53), members of nested
/// objects have dotted names, arrays are left out, and so are values of another kind than the
/// schema says.
template <json_document T>
class json_decoder {
 public:
  /// \throws topology_error when `T` has a member of type `std::string_view`, which only an
  /// encoder can handle
  explicit json_decoder(const json_options& options,
                        std::shared_ptr<schema_registry> registry = nullptr)
      : core_(detail::json_table<T>::type, options, std::move(registry)) {}

  /// Sets every described member of `out`: nothing of an earlier value is left, but the memory of
  /// its strings and containers is used again, so that documents like those before need no
  /// allocation. After an error `out` holds anything. O(n); the error says field, offset (bytes
  /// from the start), and what was expected. The document is read in place if 64 bytes behind it
  /// are readable (`payload_view::readable`), and is copied otherwise.
  result<void> decode(payload_view bytes, T& out) { return core_.decode(bytes, &out); }
  result<void> decode(std::string_view text, T& out) {
    return core_.decode({text, text.size()}, &out);
  }

  /// Documents that the fast reader did not accept, valid ones and others.
  std::uint64_t slow_documents() const noexcept { return core_.slow_documents(); }

  /// Turns the fast reader off: for measurements, and to compare the two.
  void use_exact_reader_only() noexcept { core_.use_exact_reader_only(); }

 private:
  detail::json_decoder_core core_;
};

/// Writes values as compact JSON in one line: members in the order of their description, the
/// shortest decimals that read back as the same numbers, times as the options say. NaN and the
/// infinities become null, ill-formed UTF-8 becomes U+FFFD.
template <class T>
class json_encoder {
 public:
  explicit json_encoder(const json_options& options)
      : core_(detail::json_table<T>::type, options) {}

  /// Appends `value` to `out`. Allocates only when `out` has to grow.
  void encode(const T& value, std::string& out) const { core_.encode(&value, out); }

 private:
  detail::json_encoder_core core_;
};

/// The codec: `.decode<reading>(json)`, `.decode<reading>(json.with({.timestamp_unit = ...}))`,
/// `.decode<dynamic_record>(json.with(numeric_fields{"temperature", "humidity"}))`. Copies share
/// the schema of dynamic records, so all workers of a stream number its fields alike; without
/// `with(schema)` each decoder infers a schema of its own.
class json_codec {
 public:
  static constexpr std::string_view name = "json";

  constexpr json_codec() noexcept = default;

  /// The same codec with other options.
  json_codec with(const json_options& options) const {
    json_codec copy = *this;
    copy.options_ = options;
    return copy;
  }
  /// The same codec with a schema for dynamic records, to be inferred or given.
  json_codec with(inferred_fields rule) const {
    return with(std::make_shared<schema_registry>(std::move(rule)));
  }
  json_codec with(numeric_fields rule) const {
    return with(std::make_shared<schema_registry>(std::move(rule)));
  }
  json_codec with(std::vector<schema::field> fields) const {
    return with(std::make_shared<schema_registry>(std::move(fields)));
  }
  json_codec with(std::shared_ptr<schema_registry> registry) const {
    json_codec copy = *this;
    copy.registry_ = std::move(registry);
    return copy;
  }

  const json_options& options() const noexcept { return options_; }
  const std::shared_ptr<schema_registry>& registry() const noexcept { return registry_; }

  template <json_document T>
  json_decoder<T> make_decoder() const {
    return json_decoder<T>(options_, registry_);
  }
  template <class T>
  json_encoder<T> make_encoder() const {
    return json_encoder<T>(options_);
  }

 private:
  json_options options_;
  std::shared_ptr<schema_registry> registry_;
};

inline const json_codec json{};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/codec/impl/json.ipp>
#endif
