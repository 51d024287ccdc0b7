// SPDX-License-Identifier: Apache-2.0
/// \file
/// Parses one response straight into an `http_response`: Beast's state machine, our storage. Heavy.
/// Not thread safe.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/net/gzip.hpp>
#include <millrace/net/http_message.hpp>

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::net::detail {

struct http_limits {
  std::size_t header;
  std::size_t body;
};

/// Trailer fields are checked and dropped; content codings are undone on the way.
class http_parser final : public boost::beast::http::basic_parser<false> {
 public:
  using error_code = boost::beast::error_code;
  using view = boost::beast::string_view;

  /// `unpack` is made when the first compressed body comes, and kept by the caller.
  http_parser(const http_limits& limits, http_method method, std::unique_ptr<inflater>& unpack)
      : limits_(limits), unpack_(&unpack) {
    eager(true);
    header_limit(static_cast<std::uint32_t>(limits.header));
    body_limit(limits.body);
    skip(method == http_method::head);
  }

  http_response& response() noexcept { return response_; }

  /// The reason behind an error that one of the functions below has raised, or Beast's.
  error explain(const error_code& code) const {
    namespace http = boost::beast::http;
    if (failure_) return *failure_;
    if (code == http::error::header_limit || code == http::error::buffer_overflow) {
      return {errc::too_large,
              "response header is longer than " + std::to_string(limits_.header) + " bytes"};
    }
    if (code == http::error::body_limit) return body_too_large();
    if (code == http::error::partial_message || code == http::error::end_of_stream) {
      return {errc::connection_closed, "in the middle of the response"};
    }
    return {errc::protocol_error, "not an HTTP response (" + code.message() + ")"};
  }

  error body_too_large() const {
    return {errc::too_large,
            "response body is longer than " + std::to_string(limits_.body) + " bytes"};
  }

 private:
  static std::string_view standard(view text) noexcept { return {text.data(), text.size()}; }

  void raise(error reason, error_code& code) {
    failure_ = std::move(reason);
    code = boost::beast::http::error::bad_value;
  }

  void on_request_impl(boost::beast::http::verb, view, view, int, error_code&) override {}

  void on_response_impl(int status, view, int, error_code& code) override {
    code = {};
    response_.status = static_cast<unsigned>(status);
    response_.headers.reserve(8, 256);
  }

  void on_field_impl(boost::beast::http::field name, view name_text, view value,
                     error_code& code) override {
    namespace http = boost::beast::http;
    code = {};
    if (in_trailer_) return;
    response_.headers.add(standard(name_text), standard(value));
    if (name == http::field::content_encoding) {
      const auto coding = standard(value);
      if (equal_ignoring_case(coding, "gzip") || equal_ignoring_case(coding, "x-gzip")) {
        set_coding(content_coding::gzip, code);
      } else if (equal_ignoring_case(coding, "deflate")) {
        set_coding(content_coding::deflate, code);
      } else if (!coding.empty() && !equal_ignoring_case(coding, "identity")) {
        raise({errc::not_supported, "Content-Encoding " + std::string(coding)}, code);
      }
    } else if (name == http::field::transfer_encoding &&
               !equal_ignoring_case(standard(value), "chunked")) {
      raise({errc::protocol_error, "Transfer-Encoding " + std::string(standard(value))}, code);
    }
  }

  void set_coding(content_coding coding, error_code& code) {
    if (coding_ != content_coding::identity) {
      raise({errc::not_supported, "more than one Content-Encoding"}, code);
    }
    coding_ = coding;
  }

  void on_header_impl(error_code& code) override {
    code = {};
    in_trailer_ = true;
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& code) override {
    code = {};
    has_body_ = true;
    if (coding_ != content_coding::identity) {
      if (*unpack_ == nullptr) *unpack_ = std::make_unique<inflater>();
      (*unpack_)->reset(coding_);
    } else if (length) {
      // What is promised is not allocated before it comes, beyond a first step.
      constexpr std::uint64_t step = 256 * 1024;
      response_.body.reserve(static_cast<std::size_t>(std::min(*length, step)));
    }
  }

  std::size_t on_body_impl(view piece, error_code& code) override {
    code = {};
    if (coding_ == content_coding::identity) {
      response_.body.append(piece.data(), piece.size());
    } else if (auto done = (*unpack_)->write(standard(piece), response_.body, limits_.body);
               !done) {
      raise(done.error(), code);
    }
    return piece.size();
  }

  void on_chunk_header_impl(std::uint64_t, view, error_code& code) override { code = {}; }

  std::size_t on_chunk_body_impl(std::uint64_t, view piece, error_code& code) override {
    return on_body_impl(piece, code);
  }

  void on_finish_impl(error_code& code) override {
    code = {};
    if (coding_ == content_coding::identity || !has_body_) return;
    if (auto done = (*unpack_)->finish(); !done) raise(done.error(), code);
  }

  http_limits limits_;
  std::unique_ptr<inflater>* unpack_;
  http_response response_;
  std::optional<error> failure_;
  content_coding coding_ = content_coding::identity;
  bool in_trailer_ = false;
  bool has_body_ = false;
};

}  // namespace millrace::net::detail
