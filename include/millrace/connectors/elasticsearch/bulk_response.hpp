// SPDX-License-Identifier: Apache-2.0
/// \file
/// What Elasticsearch and OpenSearch answer, as plain values. Light: simdjson stays in the `.ipp`.
/// Pure functions.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::elasticsearch {

/// What became of one document of a bulk request.
struct bulk_item_result {
  unsigned status = 0;   ///< an HTTP status: 200 updated, 201 created, 409, 429, ...
  std::string type{};    ///< of the error, "mapper_parsing_exception"; empty on success
  std::string reason{};  ///< of the error and of what caused it, in the server's words
};

/// The part of a response's body that is asked for, as `filter_path` (the rest would be several
/// times as long).
inline constexpr std::string_view bulk_filter_path =
    "errors,items.*.status,items.*.error.type,items.*.error.reason,"
    "items.*.error.caused_by.type,items.*.error.caused_by.reason";

/// Reads the body of an answer to `_bulk`, in the order of the request's items (Elasticsearch
/// reference, "Bulk API", response body). `body` may be reallocated (padding), its text stays as it
/// is. `errc::malformed` when it is not such an answer. O(length).
MILLRACE_DECL result<void> parse_bulk_response(std::string& body,
                                               std::vector<bulk_item_result>& items);

/// The reason in the body of a refused request, `{"error":{"type":...,"reason":...}}`, or the start
/// of the body when it is something else (a proxy's page). At most a few hundred characters.
MILLRACE_DECL std::string error_reason(std::string_view body);

/// Whether the body is `{"acknowledged":true}`.
MILLRACE_DECL bool is_acknowledged(std::string_view body);

}  // namespace millrace::elasticsearch

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/elasticsearch_response.ipp>
#endif
