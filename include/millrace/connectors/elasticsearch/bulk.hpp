// SPDX-License-Identifier: Apache-2.0
/// \file
/// The bulk protocol without I/O: documents in, request bodies out; answers in, outcomes out. Time
/// and random bits are arguments. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/base/time.hpp>
#include <millrace/connectors/elasticsearch/bulk_response.hpp>
#include <millrace/net/backoff.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::elasticsearch {

/// What a document does to one with the same id.
enum class operation : std::uint8_t {
  index,   ///< replaces it
  create,  ///< leaves it: "already there" is success
};

/// Bounds and patience of bulk requests.
struct bulk_options {
  std::size_t bytes = std::size_t{5} << 20;  ///< of a body, above it the request is sent; the last
                                             ///< document may exceed it
  std::size_t items = 5000;                  ///< documents in a request
  std::chrono::nanoseconds age = std::chrono::seconds{1};  ///< of the oldest document
  std::size_t in_flight = 2;  ///< requests under way, those that wait for another try included
  std::uint32_t item_attempts = 10;  ///< for errors of the server that may be the document's fault
                                     ///< (5xx but 502, 503, 504); the others are retried for ever
  net::backoff_options backoff{.shortest = std::chrono::milliseconds{50},
                               .initial = std::chrono::milliseconds{250},
                               .longest = std::chrono::seconds{30}};
};

/// Whether the options make sense; the error names the member and the fix.
MILLRACE_DECL result<void> validate(const bulk_options& options);

/// What the machine has to say about documents and requests.
class bulk_events {
 public:
  virtual ~bulk_events() = default;

  /// The server will never take this document.
  virtual void rejected(std::string_view reason, std::string_view document, timestamp time) = 0;

  /// The server refuses everything (credentials, URL): nothing more will be sent.
  virtual void refused(error reason) = 0;

  /// A whole request failed and will be sent again after `delay`.
  virtual void will_retry(const error& reason, std::chrono::nanoseconds delay) = 0;
};

/// A request that is to be sent now; `body` is valid until the machine is called again.
struct bulk_dispatch {
  std::size_t slot;  ///< to be given back with the answer
  std::string_view body;
  std::size_t items;
};

/// Collects documents into requests and sees each one through to its outcome.
///
/// Two documents with the same action line (index and id) are never in two requests at once, so
/// that the later one wins. Memory: at most `in_flight` + 2 bodies as long as the caller heeds
/// `full()`.
class bulk_machine {
 public:
  MILLRACE_DECL bulk_machine(operation op, const bulk_options& options, bulk_events& events,
                             metric_group& metrics);
  bulk_machine(const bulk_machine&) = delete;
  bulk_machine& operator=(const bulk_machine&) = delete;

  /// Where to append an item: the action line, a line feed, the document (no line feed in it).
  /// What was appended without a `commit` is dropped.
  std::string& begin() {
    open_.body.resize(open_.committed());
    return open_.body;
  }

  /// The same without dropping anything: the item under way is at its end.
  std::string& body() noexcept { return open_.body; }

  /// The item is complete; its document begins at that offset of the body. Items with the same
  /// `key` other than 0 are kept in order; equal action lines must have equal keys.
  MILLRACE_DECL void commit(std::size_t document, std::uint64_t key, timestamp time,
                            std::chrono::nanoseconds now);

  /// Whether the last `commit` began a request: its age, and so `deadline`, counts from there.
  bool just_opened() const noexcept { return open_.items.size() == 1; }

  /// What is collected goes out, however little it is.
  MILLRACE_DECL void flush();

  /// A request to send now, if there is one and a slot for it.
  MILLRACE_DECL std::optional<bulk_dispatch> next(std::chrono::nanoseconds now);

  /// When `next` is to be called again although nothing else has happened: a retry or the age of
  /// the oldest document is due.
  MILLRACE_DECL std::optional<std::chrono::nanoseconds> deadline() const;

  /// An answer of the server. `body` may be reallocated.
  MILLRACE_DECL void answered(std::size_t slot, unsigned status, std::string& body,
                              std::optional<std::chrono::nanoseconds> retry_after,
                              std::chrono::nanoseconds now, std::uint64_t random_bits);

  /// There was none: not connected, cut off, timed out.
  MILLRACE_DECL void failed(std::size_t slot, const error& reason, std::chrono::nanoseconds now,
                            std::uint64_t random_bits);

  /// Enough work for now: a request is complete and cannot be sent yet.
  bool full() const noexcept { return !sealed_.empty(); }

  /// Every document has had its outcome.
  MILLRACE_DECL bool empty() const noexcept;

  /// Documents without an outcome. O(requests).
  MILLRACE_DECL std::size_t size() const noexcept;

  /// Calls `visit(action_and_document, document_offset, key, time)` for every document without an
  /// outcome, so that an equal machine can be filled with them (`begin`, append, `commit`).
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& s : slots_) s.work.for_each(visit);
    for (const auto& r : sealed_) r.for_each(visit);
    open_.for_each(visit);
  }

 private:
  struct item {
    std::size_t begin;     // of the action line
    std::size_t document;  // behind its line feed
    std::size_t end;       // behind the document's line feed
    std::uint64_t key;
    timestamp time;
    std::uint32_t attempts;  // that failed by errors which may be the document's fault
  };

  struct request {
    std::string body;
    std::vector<item> items;
    std::vector<std::uint64_t> keys;  // sorted, distinct; only when sealed

    std::size_t committed() const noexcept { return items.empty() ? 0 : items.back().end; }
    void clear() noexcept {
      body.clear();
      items.clear();
      keys.clear();
    }
    template <class Visit>
    void for_each(Visit& visit) const {
      for (const auto& i : items) {
        visit(std::string_view(body).substr(i.begin, i.end - i.begin - 1), i.document - i.begin,
              i.key, i.time);
      }
    }
  };

  enum class slot_state : std::uint8_t { free, sent, waiting };

  struct slot {
    explicit slot(const net::backoff_options& o) : backoff(o) {}
    slot_state state = slot_state::free;
    request work;
    net::backoff backoff;
    std::chrono::nanoseconds due{};
  };

  enum class fate : std::uint8_t { delivered, duplicate, again, rejected };

  void seal();
  bool conflicts(const request& r) const;
  fate judge(const bulk_item_result& result, const item& i) const;
  void settle(slot& s, std::chrono::nanoseconds now, std::uint64_t random_bits);
  bool superseded(const request& r, std::size_t index) const;
  void keep_only_retries(request& r);
  void split(slot& s, unsigned status, const std::string& reason, std::chrono::nanoseconds now);
  void retry_later(slot& s, std::chrono::nanoseconds least, std::chrono::nanoseconds now,
                   std::uint64_t random_bits);
  void request_failed(slot& s, const error& reason, std::chrono::nanoseconds least,
                      std::chrono::nanoseconds now, std::uint64_t random_bits);
  void reject(const request& r, const item& i, std::string_view reason);
  void release(slot& s);
  static void rebuild_keys(request& r);
  request take_spare();
  void give_spare(request&& r);

  operation op_;
  bulk_options options_;
  bulk_events& events_;
  request open_;
  std::chrono::nanoseconds opened_{};  // when the first item of open_ came
  std::deque<request> sealed_;         // complete, in order
  std::vector<slot> slots_;
  std::vector<request> spare_;  // memory to use again
  std::vector<bulk_item_result> results_;
  std::vector<fate> fates_;
  std::size_t bytes_limit_;  // options_.bytes, or less when the server said "too large"
  bool refused_ = false;
  counter& delivered_;
  counter& duplicates_;
  counter& superseded_;
  counter& rejected_;
  counter& item_retries_;
  counter& requests_;
  counter& request_retries_;
  counter& splits_;
  counter& bytes_;
};

}  // namespace millrace::elasticsearch

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/elasticsearch_bulk.ipp>
#endif
