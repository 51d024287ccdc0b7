// SPDX-License-Identifier: Apache-2.0
/// \file
/// The part of the Elasticsearch sink that knows no types: the bulk machine, the HTTP client, and
/// the timer between them. One worker's thread.
#pragma once

#include <millrace/base/log.hpp>
#include <millrace/connectors/elasticsearch/bulk.hpp>
#include <millrace/connectors/elasticsearch/options.hpp>
#include <millrace/net/http_client.hpp>
#include <millrace/operators/sink.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::elasticsearch {

class bulk_writer final : private bulk_events {
 public:
  /// \throws topology_error for options that cannot work
  MILLRACE_DECL bulk_writer(sink_context& context, const sink_options& options);
  bulk_writer(const bulk_writer&) = delete;
  bulk_writer& operator=(const bulk_writer&) = delete;
  MILLRACE_DECL ~bulk_writer() override;

  /// Writes what stands in front of a document, and returns where to append it. `index` is ignored
  /// unless it is derived from the record; nullptr is no id.
  MILLRACE_DECL std::string& begin(std::string_view index, const std::string* id, timestamp time);

  /// The document is complete. One that is no JSON object is a dead letter.
  MILLRACE_DECL void commit(timestamp time);

  MILLRACE_DECL void end();

  /// What has no outcome yet; the bytes are those of the bulk protocol.
  template <class Writer>
  void save(Writer& out) const {
    out.varint(machine_.size());
    machine_.for_each(
        [&](std::string_view text, std::size_t document, std::uint64_t key, timestamp time) {
          out.text(text);
          out.varint(document);
          out.number(key);
          out.number(time.time_since_epoch().count());
        });
  }

  /// \pre nothing was written yet
  template <class Reader>
  void restore(Reader& in) {
    for (auto n = in.varint(); n > 0; --n) {
      const auto text = in.text();
      const auto document = in.varint();
      const auto key = in.template number<std::uint64_t>();
      const timestamp time{duration{in.template number<std::int64_t>()}};
      if (document == 0 || document >= text.size()) return;  // the reader has failed
      take_over(text, document, key, time);
    }
  }

 private:
  enum class request_kind : std::uint8_t { look, put };

  void rejected(std::string_view reason, std::string_view document, timestamp time) override;
  void refused(error reason) override;
  void will_retry(const error& reason, std::chrono::nanoseconds delay) override;

  MILLRACE_DECL void take_over(std::string_view text, std::size_t document, std::uint64_t key,
                               timestamp time);
  void pump();
  void send(const bulk_dispatch& dispatch);
  void answered(std::size_t slot, result<net::http_response> outcome);
  void arm(std::chrono::nanoseconds delay);
  void check_template();
  void put_template();
  void template_answered(request_kind kind, const result<net::http_response>& outcome);
  void fail(error reason);
  std::string_view index_of(std::string_view derived, timestamp time);

  sink_context& context_;
  sink_options options_;
  operation op_;
  bool adds_time_;
  std::string base_url_;
  std::string bulk_url_;
  bulk_machine machine_;
  net::backoff template_backoff_;
  rate_limit log_limit_{3};
  std::string dated_index_;  // for the hour below
  std::int64_t dated_hour_ = INT64_MIN;
  std::uint64_t key_ = 0;     // of the document under way:
  std::size_t item_ = 0;      //   where its action line begins,
  std::size_t document_ = 0;  //   where the document begins,
  std::size_t encoded_ = 0;   //   where the encoder's part begins
  std::string refusal_;       //   why it cannot be sent, if so
  timer_id timer_ = 0;
  bool ready_ = false;  // the template is there
  bool broken_ = false;
  bool troubled_ = false;  // the last request failed as a whole
  bool ending_ = false;
  bool done_ = false;
  counter& records_;
  gauge& pending_;
  gauge& in_flight_;
  net::http_client client_;  // last: its callbacks refer to what stands above
};

}  // namespace millrace::elasticsearch

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/elasticsearch_writer.ipp>
#endif
