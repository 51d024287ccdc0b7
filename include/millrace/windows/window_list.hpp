// SPDX-License-Identifier: Apache-2.0
/// \file
/// The windows of one key that are alive, for windows that are kept one by one: sessions, windows
/// with triggers of their own, windows that keep their records. Not thread safe.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/windows/window.hpp>
#include <millrace/windows/window_timers.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace millrace {

/// One window of one key. About 130 bytes beside the content.
template <class Content, class TriggerState>
struct window_instance {
  millrace::window window;
  std::uint64_t serial = 0;  ///< names the instance, also when its window grows
  Content content{};
  TriggerState trigger{};
  window_timers timers{};

  /// The entry of a queue that counts.
  struct queued_entry {
    timestamp time{};
    bool valid = false;
  };
  queued_entry queued_event{};
  queued_entry queued_processing{};

  void save(snapshot_writer& to) const {
    save_value(to, window.start);
    save_value(to, window.end);
    save_value(to, content);
    save_value(to, trigger);
    timers.event.save(to);
    timers.processing.save(to);
  }
  void restore(snapshot_reader& from) {
    restore_value(from, window.start);
    restore_value(from, window.end);
    restore_value(from, content);
    restore_value(from, trigger);
    timers.event.restore(from);
    timers.processing.restore(from);
  }
};

/// By start, then by end. Few for most keys: what looks for one by its number is linear.
template <class Content, class TriggerState>
class window_list {
 public:
  using instance = window_instance<Content, TriggerState>;
  using iterator = typename std::vector<instance>::iterator;

  bool empty() const noexcept { return all_.empty(); }
  std::size_t size() const noexcept { return all_.size(); }
  iterator begin() noexcept { return all_.begin(); }
  iterator end() noexcept { return all_.end(); }

  /// Where the window is, or where it belongs. O(log n), O(1) at the end.
  iterator place(const window& w) {
    if (all_.empty() || before(all_.back().window, w)) return all_.end();
    return std::lower_bound(all_.begin(), all_.end(), w,
                            [](const instance& i, const window& x) { return before(i.window, x); });
  }
  iterator insert(iterator where, const window& w, std::uint64_t serial) {
    return all_.insert(where, instance{w, serial, {}, {}, {}, {}, {}});
  }
  iterator find(std::uint64_t serial) {
    return std::find_if(all_.begin(), all_.end(),
                        [serial](const instance& i) { return i.serial == serial; });
  }
  /// The windows that overlap or touch `w`. \pre no two windows of the list do
  std::pair<iterator, iterator> touching(const window& w) {
    const auto first = std::find_if(all_.begin(), all_.end(),
                                    [&w](const instance& i) { return w.start <= i.window.end; });
    const auto last =
        std::find_if(first, all_.end(), [&w](const instance& i) { return i.window.start > w.end; });
    return {first, last};
  }
  void erase(iterator first, iterator last) { all_.erase(first, last); }
  void erase(iterator it) { all_.erase(it); }

  void save(snapshot_writer& to) const {
    to.varint(all_.size());
    for (const instance& i : all_) i.save(to);
  }
  void restore(snapshot_reader& from) {
    const std::size_t n = from.count(16);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) all_.emplace_back().restore(from);
  }

 private:
  static bool before(const window& a, const window& b) noexcept {
    return a.start != b.start ? a.start < b.start : a.end < b.end;
  }

  std::vector<instance> all_;
};

}  // namespace millrace
