// SPDX-License-Identifier: Apache-2.0
/// \file
/// A sink that writes documents to Elasticsearch (7.8 to 9) or OpenSearch (1 to 3) with the bulk
/// API. The description may be copied to any thread; the writer belongs to one worker.
#pragma once

#include <millrace/codec/json.hpp>
#include <millrace/connectors/detail/record_printer.hpp>
#include <millrace/connectors/elasticsearch/options.hpp>
#include <millrace/connectors/elasticsearch/writer.hpp>
#include <millrace/operators/sink.hpp>

#include <string>
#include <utility>

namespace millrace::elasticsearch {

/// Documents to an index, indexes by date, or a data stream. `Format` makes the document: a codec,
/// by default JSON by description, or a function `f(const T&)` that returns the text of a JSON
/// object.
///
///     p.to("scores", elasticsearch::sink{{
///         .url = "https://search:9200",
///         .index = "scores-%Y.%m.%d",
///         .id = [](const score& s) { return s.station + "-" + std::to_string(s.number); },
///         .api_key = key}});
///
/// At least once; with ids, idempotent. What the server cannot take now (429, 5xx, down) is sent
/// again, with back-off, for ever; meanwhile back-pressure, with at most `bulk.in_flight` + 2
/// bodies of about `bulk.bytes` in memory. What it will never take (4xx) is a dead letter with the
/// server's reason. Documents with the same id are written in order. Metrics: records, delivered,
/// already_there, superseded, rejected, item_retries, requests, request_retries, splits, bytes,
/// pending, in_flight.
template <class Format = json_codec>
class sink {
 public:
  explicit sink(sink_options options, Format format = {})
      : options_(std::move(options)), format_(std::move(format)) {}

  class writer {
   public:
    writer(sink_context& context, const sink_options& options, const Format& format)
        : bulk_(context, options), options_(options), printer_(format) {}

    template <class T>
    void write(const T& value, timestamp time) {
      if (options_.index.varies()) {
        index_.clear();
        options_.index.append(value, index_);
      }
      if (options_.id.varies()) {
        id_.clear();
        options_.id.append(value, id_);
      }
      std::string& out = bulk_.begin(index_, options_.id.varies() ? &id_ : nullptr, time);
      printer_.print(value, time, out);
      bulk_.commit(time);
    }

    void end() { bulk_.end(); }

    template <class Writer>
    void save(Writer& out) const {
      bulk_.save(out);
    }
    template <class Reader>
    void restore(Reader& in) {
      bulk_.restore(in);
    }

   private:
    bulk_writer bulk_;
    sink_options options_;
    millrace::detail::record_printer<Format> printer_;
    std::string index_;
    std::string id_;
  };

  /// \throws topology_error for options that cannot work
  writer open(sink_context& context) const { return writer(context, options_, format_); }

  delivery delivered() const {
    if (options_.id.varies()) {
      return {guarantee::exactly_once, "a document that is sent again replaces itself", {}};
    }
    return {guarantee::at_least_once, "documents get ids from the server, again after a crash",
            "id = a function of the record"};
  }

  const sink_options& options() const noexcept { return options_; }

 private:
  sink_options options_;
  Format format_;
};

sink(sink_options) -> sink<>;

}  // namespace millrace::elasticsearch
