// SPDX-License-Identifier: Apache-2.0
/// \file
/// Lookup join: each record with the row that an outside table has for it, asked for without
/// waiting, and cached. Built on the async operator. Not thread safe but for replies.
#pragma once

#include <millrace/operators/async_operator.hpp>
#include <millrace/operators/join_types.hpp>
#include <millrace/operators/lookup_cache.hpp>
#include <millrace/operators/reply_mailbox.hpp>
#include <millrace/operators/signature.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace millrace {

struct lookup_options {
  async_options calls{};  ///< records in flight, timeout, retries, order, what failures do
  cache_options cache{};
};

/// The calls for rows: one per key at a time, whoever waits for it, and the cache of the answers.
template <class K, class R, class Fetch>
class row_lookups : public std::enable_shared_from_this<row_lookups<K, R, Fetch>> {
 public:
  using row = std::optional<R>;
  using answer = std::function<void(std::variant<row, error>)>;

  row_lookups(Fetch fetch, cache_options options) : fetch_{std::move(fetch)}, cache_(options) {}

  void open(environment& env, metric_group& metrics) {
    env_ = &env;
    hits_ = &metrics.counter("cache_hits");
    misses_ = &metrics.counter("cache_misses");
    shared_ = &metrics.counter("lookups_shared");
    evictions_ = &metrics.counter("cache_evictions");
    mailbox_ = std::make_shared<reply_mailbox<row>>(
        env, [this](std::uint64_t call, std::variant<row, error> what) { arrived(call, what); },
        [this](std::uint64_t call, std::function<void()> hook) {
          const auto found = keys_.find(call);
          if (found != keys_.end()) pending_.at(found->second)->cancel = std::move(hook);
        });
    mailbox_->set_self(mailbox_);
  }

  void close() noexcept {
    if (mailbox_) mailbox_->close();
    mailbox_.reset();
  }

  /// The row if it is known; null otherwise.
  const row* cached(const K& key) {
    const row* known = cache_.find(key, env_->monotonic());
    if (known != nullptr) hits_->add();
    return known;
  }

  /// Asks for a row, unless somebody has already. Returns a number by which to give up.
  std::uint64_t ask(const K& key, answer then) {
    const std::uint64_t number = next_++;
    if (const auto running = pending_.find(key); running != pending_.end()) {
      shared_->add();
      running->second->waiting.emplace(number, std::move(then));
      return number;
    }
    misses_->add();
    const std::uint64_t call = next_++;
    auto entry = std::make_shared<lookup>();
    entry->key = key;
    entry->call = call;
    entry->waiting.emplace(number, std::move(then));
    pending_.emplace(key, entry);
    keys_.emplace(call, key);
    fetch_(std::as_const(entry->key), async_reply<row>(mailbox_, call));
    return number;
  }

  /// Nobody waits for that answer any more; the call ends with the last one who does.
  void give_up(const K& key, std::uint64_t number) {
    const auto found = pending_.find(key);
    if (found == pending_.end() || found->second->waiting.erase(number) == 0) return;
    if (!found->second->waiting.empty()) return;
    const auto entry = found->second;
    keys_.erase(entry->call);
    pending_.erase(found);
    if (entry->cancel) entry->cancel();
  }

 private:
  struct lookup {
    K key{};
    std::uint64_t call = 0;
    std::map<std::uint64_t, answer> waiting;  // in the order in which they came
    std::function<void()> cancel;
  };
  struct hash {
    std::size_t operator()(const K& key) const noexcept {
      return static_cast<std::size_t>(key_hash<K>{}(key));
    }
  };

  void arrived(std::uint64_t call, std::variant<row, error>& what) {
    const auto found = keys_.find(call);
    if (found == keys_.end()) return;
    const auto self = this->shared_from_this();
    const auto entry = pending_.at(found->second);
    pending_.erase(entry->key);
    keys_.erase(found);
    if (what.index() == 0) {
      evictions_->add(cache_.put(entry->key, std::get<0>(what), env_->monotonic()));
    }
    for (auto& [number, then] : entry->waiting) then(what);
  }

  any_async<Fetch> fetch_;
  lookup_cache<K, R> cache_;
  environment* env_ = nullptr;
  counter* hits_ = nullptr;
  counter* misses_ = nullptr;
  counter* shared_ = nullptr;
  counter* evictions_ = nullptr;
  std::shared_ptr<reply_mailbox<row>> mailbox_;
  std::unordered_map<K, std::shared_ptr<lookup>, hash> pending_;
  std::unordered_map<std::uint64_t, K> keys_;
  std::uint64_t next_ = 1;
};

/// `key_of(const L&) -> K`; `fetch(const K&, async_reply<std::optional<R>>)`, or a coroutine. Every
/// record leaves, with an empty `right` if there is no row; failed calls go by
/// `lookup_options::calls`. A record whose row is in the cache does not wait, unless order or a
/// watermark demands it. Records in flight are saved and asked for again; the cache is not saved.
/// Memory: `cache.rows` rows and `calls.in_flight` records.
template <class K, class L, class R, class KeyOf, class Fetch>
class lookup_join_operator {
  using lookups = row_lookups<K, R, Fetch>;

 public:
  using output_type = joined<L, std::optional<R>>;
  using context = operator_context<output_type>;
  static constexpr bool keeps_records = true;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<L>(); }

  lookup_join_operator(KeyOf key_of, Fetch fetch, const lookup_options& options)
      : key_of_(key_of),
        rows_(std::make_shared<lookups>(std::move(fetch), options.cache)),
        calls_(look_up{std::move(key_of), rows_}, options.calls) {}
  lookup_join_operator(const lookup_join_operator&) = delete;
  lookup_join_operator(lookup_join_operator&&) noexcept = default;
  ~lookup_join_operator() { cancel(); }

  void open(context& c) {
    rows_->open(c.env(), c.metrics());
    calls_.open(c);
  }
  bool ready() const { return calls_.ready(); }

  void process(L&& value, context& c) {
    if (calls_.can_pass()) {
      const K key = std::invoke(key_of_, std::as_const(value));
      if (const auto* row = rows_->cached(key)) {
        return emit_joined<output_type, L, R>(c, &value, *row ? &**row : nullptr, c.time(),
                                              no_slot);
      }
    }
    calls_.process(std::move(value), c);
  }

  void queue_watermark(timestamp time, context& c) { calls_.queue_watermark(time, c); }
  void on_resume(context& c) { calls_.on_resume(c); }
  progress on_end(context& c) { return calls_.on_end(c); }
  void cancel() noexcept {
    calls_.cancel();
    if (rows_) rows_->close();
  }
  void save(snapshot_writer& to) const { calls_.save(to); }
  void restore(snapshot_reader& from) { calls_.restore(from); }

 private:
  struct look_up {
    KeyOf key_of;
    std::shared_ptr<lookups> rows;

    void operator()(const L& value, async_reply<output_type> reply) const {
      const K key = std::invoke(key_of, value);
      if (const auto* row = rows->cached(key)) return reply(output_type{value, *row});
      // The record is there until its reply has been given or the call has been cancelled.
      auto handle = std::make_shared<async_reply<output_type>>(std::move(reply));
      auto number = std::make_shared<std::uint64_t>(0);
      handle->on_cancel([rows = std::weak_ptr<lookups>(rows), key, number] {
        if (const auto still = rows.lock()) still->give_up(key, *number);
      });
      const std::uint64_t given =
          rows->ask(key, [handle, &value](std::variant<std::optional<R>, error> what) {
            if (what.index() == 1) return handle->fail(std::get<1>(what));
            (*handle)(output_type{value, std::get<0>(what)});
          });
      *number = given;
    }
  };

  KeyOf key_of_;
  std::shared_ptr<lookups> rows_;
  async_operator<L, output_type, false, look_up> calls_;
};

}  // namespace millrace
