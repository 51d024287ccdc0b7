// SPDX-License-Identifier: Apache-2.0
/// \file
/// A bounded list per key whose elements may expire. Member of the state of a process function. Not
/// thread safe.
#pragma once

#include <millrace/state/serialize.hpp>
#include <millrace/state/ttl.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

/// Those of the last `limit` values that have not expired, oldest first; each has its own time to
/// live. `ctx` is the context of
/// the process function.
template <class T, state_options Options = state_options{}>
class list_state {
 public:
  static_assert(Options.limit > 0, "list_state: the limit must not be 0");
  static constexpr state_options options = Options;

  /// Appends. Beyond the limit the value that was added first is dropped, and false is returned.
  /// Amortized O(1).
  template <class Context>
  bool add(Context& ctx, T value) {
    deadline until;
    if constexpr (Options.expires()) {
      until = deadline(ctx.clock_time(Options.clock), Options.ttl.ticks);
      ctx.expire_at(Options.clock, until.free_at(Options.ttl.ticks));
    }
    items_.push_back({std::move(value), until, added_++});
    if (items_[head_].order + Options.limit >= added_) return true;
    drop_first();
    return false;
  }

  /// Calls `visit(const T&)` for the values that have not expired. O(values)
  template <class Context, class F>
  void for_each(Context& ctx, F&& visit) {
    for (std::size_t i = head_; i < items_.size(); ++i) {
      if (visible(ctx, items_[i])) visit(std::as_const(items_[i].value));
    }
  }

  /// Values that have not expired. O(values)
  template <class Context>
  std::size_t size(Context& ctx) {
    std::size_t n = 0;
    for_each(ctx, [&n](const T&) { ++n; });
    return n;
  }

  /// A copy of the values that have not expired.
  template <class Context>
  std::vector<T> values(Context& ctx) {
    std::vector<T> all;
    for_each(ctx, [&all](const T& value) { all.push_back(value); });
    return all;
  }

  void clear() noexcept {
    items_.clear();
    head_ = 0;
    added_ = 0;
  }
  /// Whether nothing is held, expired or not.
  bool empty() const noexcept { return items_.size() == head_; }

  /// \see expiring_state
  timestamp expire(time_domain clock, timestamp now) {
    timestamp next = max_timestamp;
    if (!Options.expires() || clock != Options.clock) return next;
    const auto kept = std::remove_if(items_.begin() + static_cast<std::ptrdiff_t>(head_),
                                     items_.end(), [&](const item& i) {
                                       if (i.until.passed(now)) return true;
                                       next = std::min(next, i.until.free_at(Options.ttl.ticks));
                                       return false;
                                     });
    items_.erase(kept, items_.end());
    if (empty()) *this = {};
    return next;
  }

  void save(snapshot_writer& to) const
    requires serializable<T>
  {
    to.varint(items_.size() - head_);
    for (std::size_t i = head_; i < items_.size(); ++i) {
      serialize(to, items_[i].value);
      items_[i].until.save(to);
      to.number(items_[i].order);
    }
    to.number(added_);
  }
  void restore(snapshot_reader& from)
    requires serializable<T>
  {
    clear();
    const std::size_t n = from.count(1 + 2 * sizeof(std::int64_t));
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      item& next = items_.emplace_back();
      deserialize(from, next.value);
      next.until.restore(from);
      next.order = from.number<std::uint64_t>();
    }
    added_ = from.number<std::uint64_t>();
  }
  static std::string snapshot_description() { return "list_state<" + type_description<T>() + ">"; }

 private:
  struct item {
    T value{};
    deadline until{};
    std::uint64_t order = 0;  // counts up; the last `limit` can be seen
  };

  template <class Context>
  static bool visible([[maybe_unused]] Context& ctx, [[maybe_unused]] item& i) {
    if constexpr (Options.expires()) {
      const timestamp now = ctx.clock_time(Options.clock);
      if (i.until.passed(now)) return false;
      if constexpr (Options.refresh == ttl_refresh::on_read) {
        const deadline later(now, Options.ttl.ticks);
        if (later.end() > i.until.end()) i.until = later;
      }
    }
    return true;
  }

  void drop_first() {
    items_[head_].value = T{};
    ++head_;
    if (2 * head_ < items_.size()) return;
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }

  std::vector<item> items_;
  std::size_t head_ = 0;  // those before have been dropped
  std::uint64_t added_ = 0;
};

}  // namespace millrace
