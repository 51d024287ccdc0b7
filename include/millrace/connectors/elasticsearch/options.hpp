// SPDX-License-Identifier: Apache-2.0
/// \file
/// Options of the Elasticsearch sink. Plain values.
#pragma once

#include <millrace/connectors/elasticsearch/bulk.hpp>
#include <millrace/connectors/value_text.hpp>
#include <millrace/net/tls.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::elasticsearch {

/// What `index` names.
enum class target : std::uint8_t {
  index,
  data_stream,  ///< append only: the operation is `create`, and documents get an "@timestamp"
};

/// Whether the record's event time becomes a member of the document. A record without an event
/// time gets the wall clock's.
enum class add_time : std::uint8_t {
  automatic,  ///< for data streams only
  always,
  never,  ///< the document has it already
};

/// Whether request bodies are compressed: about a tenth of the bytes for more work.
enum class compression : std::uint8_t { none, gzip };

/// What to do with an index template of the same name.
enum class template_exists : std::uint8_t { replace, keep };

/// How a field is mapped: {"@timestamp", "date"}, {"station", "keyword"}.
/// What a field becomes that the template does not name and whose first number is whole. A server
/// that sees 5 first and 5.25 later, in two requests at a time, refuses the second document.
enum class whole_numbers : std::uint8_t {
  as_double,  ///< all new numbers are doubles: exact up to 2^53
  as_seen,    ///< the server's own rule: long
};

struct field_mapping {
  std::string name{};
  std::string type{};
};

/// A composable index template (Elasticsearch 7.8 and later, every OpenSearch), put before the
/// first document is sent.
struct index_template {
  std::string name{};     ///< empty: no template
  std::string pattern{};  ///< of index names; empty: the index with "*" for the parts of its date
  std::vector<field_mapping> fields{};  ///< in addition to {time_member, "date"}
  whole_numbers numbers = whole_numbers::as_double;
  std::uint32_t priority = 200;
  std::optional<std::uint32_t> shards{};
  std::optional<std::uint32_t> replicas{};
  std::string body{};  ///< the complete JSON, instead of all above but the name
  template_exists when_it_exists = template_exists::replace;
};

struct sink_options {
  std::string url = "http://localhost:9200";  ///< http or https; may have a path

  /// A name; a name with the date of the record's event time (UTC), "scores-%Y.%m.%d" (%Y %m %d %H,
  /// %G %V for ISO weeks, %%); a member or a function of the record.
  value_text index{};
  elasticsearch::target target = elasticsearch::target::index;

  /// The document's id: a member or a function. With an id, writing again what was written already
  /// changes nothing; without one, the server makes one up and a retry may write a second copy.
  value_text id{};
  operation op = operation::index;

  add_time time = add_time::automatic;
  std::string time_member = "@timestamp";

  index_template template_{};

  std::string api_key{};  ///< as the server gives it ("encoded"), or
  std::string user{};     ///< basic authentication
  std::string password{};
  net::tls_options tls{};

  bulk_options bulk{};
  std::chrono::nanoseconds timeout = std::chrono::seconds{60};  ///< of one request
  compression compress = compression::none;
  std::string parameters{};  ///< added to the bulk request's URL: "pipeline=geo&refresh=wait_for"
};

/// Whether the options make sense; the error names the member and the fix. Reads the TLS files.
MILLRACE_DECL result<void> validate(const sink_options& options);

/// The JSON of the index template that the options ask for.
MILLRACE_DECL std::string template_body(const sink_options& options);

/// An index name with its date: fills in `pattern` (see `sink_options::index`) for `time`.
MILLRACE_DECL result<std::string> dated_name(const std::string& pattern, timestamp time);

/// The same with "*" for every part of the date.
MILLRACE_DECL result<std::string> wildcard_name(const std::string& pattern);

}  // namespace millrace::elasticsearch

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/elasticsearch_options.ipp>
#endif
