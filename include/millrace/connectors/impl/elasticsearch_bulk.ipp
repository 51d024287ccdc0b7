// SPDX-License-Identifier: Apache-2.0
/// \file
/// The bulk state machine.
#pragma once

#include <millrace/connectors/elasticsearch/bulk.hpp>

#include <algorithm>
#include <utility>

namespace millrace::elasticsearch {

namespace detail {

/// The server, or a proxy, cannot serve anybody now: no fault of the document.
inline bool is_overload(unsigned status) noexcept {
  return status == 408 || status == 429 || status == 502 || status == 503 || status == 504;
}

inline std::string_view without_line_feed(std::string_view line) noexcept {
  return line.substr(0, line.size() - 1);
}

}  // namespace detail

MILLRACE_DECL result<void> validate(const bulk_options& options) {
  const auto wrong = [](const char* what) { return result<void>{errc::out_of_range, what}; };
  if (options.bytes == 0) return wrong("bulk.bytes must be positive");
  if (options.items == 0) return wrong("bulk.items must be positive");
  if (options.age.count() <= 0) return wrong("bulk.age must be positive");
  if (options.in_flight == 0) return wrong("bulk.in_flight must be positive");
  if (options.item_attempts == 0) return wrong("bulk.item_attempts must be positive");
  if (auto backoff = net::validate(options.backoff); !backoff) {
    return {errc::out_of_range, "bulk.backoff: " + backoff.error().message};
  }
  return {};
}

MILLRACE_DECL bulk_machine::bulk_machine(operation op, const bulk_options& options,
                                         bulk_events& events, metric_group& metrics)
    : op_(op),
      options_(options),
      events_(events),
      slots_(options.in_flight, slot(options.backoff)),
      bytes_limit_(options.bytes),
      delivered_(metrics.counter("delivered")),
      duplicates_(metrics.counter("already_there")),
      superseded_(metrics.counter("superseded")),
      rejected_(metrics.counter("rejected")),
      item_retries_(metrics.counter("item_retries")),
      requests_(metrics.counter("requests")),
      request_retries_(metrics.counter("request_retries")),
      splits_(metrics.counter("splits")),
      bytes_(metrics.counter("bytes")) {}

MILLRACE_DECL void bulk_machine::commit(std::size_t document, std::uint64_t key, timestamp time,
                                        std::chrono::nanoseconds now) {
  const std::size_t begin = open_.committed();
  MILLRACE_ASSERT(document > begin && open_.body[document - 1] == '\n');
  open_.body.push_back('\n');
  if (open_.items.empty()) opened_ = now;
  open_.items.push_back({begin, document, open_.body.size(), key, time, 0});
  if (open_.body.size() >= bytes_limit_ || open_.items.size() >= options_.items) seal();
}

MILLRACE_DECL void bulk_machine::flush() {
  open_.body.resize(open_.committed());
  if (!open_.items.empty()) seal();
}

MILLRACE_DECL void bulk_machine::seal() {
  rebuild_keys(open_);
  sealed_.push_back(std::exchange(open_, take_spare()));
}

MILLRACE_DECL void bulk_machine::rebuild_keys(request& r) {
  r.keys.clear();
  for (const auto& i : r.items) {
    if (i.key != 0) r.keys.push_back(i.key);
  }
  std::sort(r.keys.begin(), r.keys.end());
  r.keys.erase(std::unique(r.keys.begin(), r.keys.end()), r.keys.end());
}

/// Whether an earlier document with a key of `r` has no outcome yet.
MILLRACE_DECL bool bulk_machine::conflicts(const request& r) const {
  for (const auto& s : slots_) {
    if (s.state == slot_state::free) continue;
    auto a = r.keys.begin();
    auto b = s.work.keys.begin();
    while (a != r.keys.end() && b != s.work.keys.end()) {
      if (*a == *b) return true;
      *a < *b ? ++a : ++b;
    }
  }
  return false;
}

MILLRACE_DECL std::optional<bulk_dispatch> bulk_machine::next(std::chrono::nanoseconds now) {
  if (refused_) return std::nullopt;
  const auto send = [&](std::size_t index) {
    auto& s = slots_[index];
    s.state = slot_state::sent;
    requests_.add();
    bytes_.add(s.work.body.size());
    return bulk_dispatch{index, s.work.body, s.work.items.size()};
  };
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].state == slot_state::waiting && slots_[i].due <= now) return send(i);
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].state != slot_state::free) continue;
    if (sealed_.empty() && !open_.items.empty() && opened_ + options_.age <= now) flush();
    if (sealed_.empty() || conflicts(sealed_.front())) return std::nullopt;
    slots_[i].work = std::move(sealed_.front());
    sealed_.pop_front();
    return send(i);
  }
  return std::nullopt;
}

MILLRACE_DECL std::optional<std::chrono::nanoseconds> bulk_machine::deadline() const {
  if (refused_) return std::nullopt;
  std::optional<std::chrono::nanoseconds> earliest;
  const auto consider = [&](std::chrono::nanoseconds t) {
    if (!earliest || t < *earliest) earliest = t;
  };
  bool slot_free = false;
  for (const auto& s : slots_) {
    if (s.state == slot_state::waiting) consider(s.due);
    slot_free = slot_free || s.state == slot_state::free;
  }
  // Without a free slot the age does not matter; an answer or a retry comes first.
  if (slot_free && sealed_.empty() && !open_.items.empty()) consider(opened_ + options_.age);
  return earliest;
}

MILLRACE_DECL bool bulk_machine::empty() const noexcept { return size() == 0; }

MILLRACE_DECL std::size_t bulk_machine::size() const noexcept {
  std::size_t n = open_.items.size();
  for (const auto& r : sealed_) n += r.items.size();
  for (const auto& s : slots_) n += s.work.items.size();
  return n;
}

MILLRACE_DECL void bulk_machine::answered(std::size_t index, unsigned status, std::string& body,
                                          std::optional<std::chrono::nanoseconds> retry_after,
                                          std::chrono::nanoseconds now, std::uint64_t random_bits) {
  auto& s = slots_[index];
  MILLRACE_ASSERT(s.state == slot_state::sent);
  if (status >= 200 && status < 300) {
    const auto parsed = parse_bulk_response(body, results_);
    if (parsed && results_.size() == s.work.items.size()) return settle(s, now, random_bits);
    const auto reason =
        parsed ? error{errc::protocol_error, std::to_string(results_.size()) + " outcomes for " +
                                                 std::to_string(s.work.items.size()) + " documents"}
               : parsed.error();
    return request_failed(s, reason, {}, now, random_bits);
  }
  const auto words = "HTTP status " + std::to_string(status) + ": " + error_reason(body);
  if (status == 413 || status == 400) return split(s, status, words, now);
  if (status >= 500 || detail::is_overload(status)) {
    const auto least = retry_after.value_or(std::chrono::nanoseconds{0});
    return request_failed(s, {errc::unavailable, words},
                          std::min<std::chrono::nanoseconds>(least, std::chrono::minutes{1}), now,
                          random_bits);
  }
  refused_ = true;
  events_.refused({status == 401 || status == 403 ? errc::connection_refused : errc::rejected,
                   "bulk request refused with " + words});
}

MILLRACE_DECL void bulk_machine::failed(std::size_t index, const error& reason,
                                        std::chrono::nanoseconds now, std::uint64_t random_bits) {
  MILLRACE_ASSERT(slots_[index].state == slot_state::sent);
  request_failed(slots_[index], reason, {}, now, random_bits);
}

MILLRACE_DECL void bulk_machine::request_failed(slot& s, const error& reason,
                                                std::chrono::nanoseconds least,
                                                std::chrono::nanoseconds now,
                                                std::uint64_t random_bits) {
  request_retries_.add();
  retry_later(s, least, now, random_bits);
  events_.will_retry(reason, s.due - now);
}

MILLRACE_DECL void bulk_machine::retry_later(slot& s, std::chrono::nanoseconds least,
                                             std::chrono::nanoseconds now,
                                             std::uint64_t random_bits) {
  s.state = slot_state::waiting;
  s.due = now + std::max(least, s.backoff.next(random_bits));
}

MILLRACE_DECL bulk_machine::fate bulk_machine::judge(const bulk_item_result& result,
                                                     const item& i) const {
  if (result.status >= 200 && result.status < 300) return fate::delivered;
  if (result.status == 409 && op_ == operation::create) return fate::duplicate;
  if (detail::is_overload(result.status)) return fate::again;
  // A block (read-only, disk full) is a state of the index, whatever status it comes with.
  const bool maybe_later = result.status >= 500 || result.type == "cluster_block_exception";
  return maybe_later && i.attempts + 1 < options_.item_attempts ? fate::again : fate::rejected;
}

/// Whether a later document with the same action line was taken, which makes this one obsolete: to
/// send it again would undo the later one.
MILLRACE_DECL bool bulk_machine::superseded(const request& r, std::size_t index) const {
  const auto& mine = r.items[index];
  if (op_ != operation::index || mine.key == 0) return false;
  const auto action = [&](const item& i) {
    return std::string_view(r.body).substr(i.begin, i.document - i.begin);
  };
  for (std::size_t later = index + 1; later < r.items.size(); ++later) {
    const auto& other = r.items[later];
    if (other.key == mine.key && fates_[later] == fate::delivered &&
        action(other) == action(mine)) {
      return true;
    }
  }
  return false;
}

/// Every document's outcome is known: those to be tried again stay, the others leave.
MILLRACE_DECL void bulk_machine::settle(slot& s, std::chrono::nanoseconds now,
                                        std::uint64_t random_bits) {
  auto& r = s.work;
  fates_.clear();
  std::uint64_t delivered = 0;
  for (std::size_t i = 0; i < r.items.size(); ++i) {
    fates_.push_back(judge(results_[i], r.items[i]));
    delivered += fates_.back() == fate::delivered ? 1 : 0;
  }
  std::size_t again = 0;
  for (std::size_t i = 0; i < r.items.size(); ++i) {
    if (fates_[i] == fate::delivered) continue;
    if (fates_[i] == fate::duplicate) {
      duplicates_.add();
    } else if (fates_[i] == fate::rejected) {
      const auto& why = results_[i];
      reject(r, r.items[i],
             "status " + std::to_string(why.status) + ", " + why.type + ": " + why.reason);
    } else if (delivered != 0 && superseded(r, i)) {
      superseded_.add();
      fates_[i] = fate::delivered;
    } else {
      ++again;
      if (!detail::is_overload(results_[i].status)) ++r.items[i].attempts;
    }
  }
  delivered_.add(delivered);
  if (again == 0) return release(s);
  item_retries_.add(again);
  if (again != r.items.size()) {
    s.backoff.reset();  // some were taken: the server works
    keep_only_retries(r);
  }
  retry_later(s, {}, now, random_bits);
}

/// Moves what is to be sent again to the front of the body, in order.
MILLRACE_DECL void bulk_machine::keep_only_retries(request& r) {
  std::size_t kept = 0;
  std::size_t end = 0;
  for (std::size_t i = 0; i < r.items.size(); ++i) {
    if (fates_[i] != fate::again) continue;
    item moved = r.items[i];
    const auto length = moved.end - moved.begin;
    std::copy_n(r.body.data() + moved.begin, length, r.body.data() + end);
    moved.document = end + (moved.document - moved.begin);
    moved.begin = end;
    moved.end = end += length;
    r.items[kept++] = moved;
  }
  r.items.resize(kept);
  r.body.resize(end);
  rebuild_keys(r);
}

/// A request that is refused as a whole because of its size, or of one document that the server
/// does not even look at (an id that is too long): by halves the culprit is found.
MILLRACE_DECL void bulk_machine::split(slot& s, unsigned status, const std::string& reason,
                                       std::chrono::nanoseconds now) {
  auto& r = s.work;
  if (status == 413) {
    bytes_limit_ = std::min(bytes_limit_, std::max<std::size_t>(r.body.size() / 2, 1));
  }
  if (r.items.size() == 1) {
    reject(r, r.items.front(), reason);
    return release(s);
  }
  splits_.add();
  const std::size_t half = r.items.size() / 2;
  const std::size_t cut = r.items[half].begin;
  request second = take_spare();
  second.body.assign(r.body, cut);
  for (std::size_t i = half; i < r.items.size(); ++i) {
    auto moved = r.items[i];
    moved.begin -= cut;
    moved.document -= cut;
    moved.end -= cut;
    second.items.push_back(moved);
  }
  r.items.resize(half);
  r.body.resize(cut);
  rebuild_keys(r);
  rebuild_keys(second);
  sealed_.push_front(std::move(second));
  s.state = slot_state::waiting;
  s.due = now;
}

MILLRACE_DECL void bulk_machine::reject(const request& r, const item& i, std::string_view reason) {
  rejected_.add();
  const auto document = std::string_view(r.body).substr(i.document, i.end - i.document);
  events_.rejected(reason, detail::without_line_feed(document), i.time);
}

MILLRACE_DECL void bulk_machine::release(slot& s) {
  s.state = slot_state::free;
  s.backoff.reset();
  give_spare(std::move(s.work));
  s.work = {};
}

MILLRACE_DECL bulk_machine::request bulk_machine::take_spare() {
  if (spare_.empty()) return {};
  request r = std::move(spare_.back());
  spare_.pop_back();
  return r;
}

MILLRACE_DECL void bulk_machine::give_spare(request&& r) {
  if (spare_.size() > slots_.size()) return;
  r.clear();
  spare_.push_back(std::move(r));
}

}  // namespace millrace::elasticsearch
