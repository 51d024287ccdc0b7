// SPDX-License-Identifier: Apache-2.0
/// \file
/// HTTP requests and responses as plain values (RFC 9110). Thread safe as long as nobody writes.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/net/gzip.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::net {

enum class http_method : std::uint8_t { get, head, post, put, patch, delete_, options };

/// "GET", "POST", ...
constexpr std::string_view to_string(http_method method) noexcept {
  switch (method) {
    case http_method::get: return "GET";
    case http_method::head: return "HEAD";
    case http_method::post: return "POST";
    case http_method::put: return "PUT";
    case http_method::patch: return "PATCH";
    case http_method::delete_: return "DELETE";
    case http_method::options: return "OPTIONS";
  }
  return "GET";
}

/// Whether sending twice has the effect of sending once (RFC 9110, 9.2.2).
constexpr bool is_idempotent(http_method method) noexcept {
  return method != http_method::post && method != http_method::patch;
}

/// Whether two names or tokens are equal but for the case of ASCII letters.
constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

/// Header fields in their order; a name may occur several times. Names are compared without regard
/// to case. All text lies in one block, so that a message costs two allocations, not one per field.
class http_headers {
 public:
  struct field {
    std::string_view name;
    std::string_view value;
  };

  http_headers() = default;
  http_headers(std::initializer_list<field> fields) {
    for (const auto& f : fields) add(f.name, f.value);
  }

  /// Appends a field. What may stand in a field is checked when the message is sent.
  void add(std::string_view name, std::string_view value) {
    entries_.push_back({static_cast<std::uint32_t>(text_.size()),
                        static_cast<std::uint32_t>(name.size()),
                        static_cast<std::uint32_t>(value.size())});
    text_.append(name).append(value);
  }

  /// Replaces all fields of that name by one. O(size).
  void set(std::string_view name, std::string_view value) {
    erase(name);
    add(name, value);
  }

  void erase(std::string_view name) {
    std::erase_if(entries_, [&](const entry& e) { return equal_ignoring_case(name_of(e), name); });
  }

  /// The value of the first field of that name. O(size); valid until the next change.
  std::optional<std::string_view> find(std::string_view name) const noexcept {
    for (const auto& e : entries_) {
      if (equal_ignoring_case(name_of(e), name)) return value_of(e);
    }
    return std::nullopt;
  }

  /// The same, or nothing as an empty text.
  std::string_view value(std::string_view name) const noexcept {
    return find(name).value_or(std::string_view{});
  }

  bool contains(std::string_view name) const noexcept { return find(name).has_value(); }
  std::size_t size() const noexcept { return entries_.size(); }
  bool empty() const noexcept { return entries_.empty(); }

  /// \pre `i < size()`
  field operator[](std::size_t i) const noexcept {
    return {name_of(entries_[i]), value_of(entries_[i])};
  }

  /// Forgets all fields; memory stays.
  void clear() noexcept {
    entries_.clear();
    text_.clear();
  }

  void reserve(std::size_t fields, std::size_t bytes) {
    entries_.reserve(fields);
    text_.reserve(bytes);
  }

 private:
  struct entry {
    std::uint32_t offset;
    std::uint32_t name_size;
    std::uint32_t value_size;
  };

  std::string_view name_of(const entry& e) const noexcept {
    return std::string_view{text_}.substr(e.offset, e.name_size);
  }
  std::string_view value_of(const entry& e) const noexcept {
    return std::string_view{text_}.substr(e.offset + e.name_size, e.value_size);
  }

  std::string text_;
  std::vector<entry> entries_;
};

/// What is sent. `Content-Length`, `Host`, `Connection` and `Accept-Encoding` are written by the
/// client.
struct http_request {
  http_method method = http_method::get;
  std::string url = {};  ///< absolute, http or https; may carry user and password
  http_headers headers = {};
  std::string body = {};
  std::chrono::nanoseconds timeout{0};  ///< of all attempts together; 0: as the client says
  std::uint32_t attempts = 0;           ///< 0: as the client's retry policy says
  content_coding coding = content_coding::identity;  ///< gzip: the client compresses the body
};

/// What came back. Every status is a response; an error is only what prevented one.
struct http_response {
  unsigned status = 0;
  http_headers headers = {};
  std::string body = {};  ///< decoded: Transfer-Encoding and Content-Encoding are undone

  /// From the Retry-After header, as time from the reception on; never negative.
  std::optional<std::chrono::nanoseconds> retry_after = {};

  /// 2xx.
  bool ok() const noexcept { return status >= 200 && status < 300; }
};

}  // namespace millrace::net
