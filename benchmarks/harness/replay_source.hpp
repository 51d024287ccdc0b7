// SPDX-License-Identifier: Apache-2.0
/// \file
/// A source that replays a block of events, and sinks that take note of results: as cheap as the
/// library's door for connectors allows. One reader or writer per worker.
#pragma once

#include "floors/data.hpp"

#include <millrace/operators/sink.hpp>
#include <millrace/operators/source.hpp>

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace bench {

inline millrace::timestamp at(std::int64_t microseconds) {
  return millrace::timestamp{millrace::duration{microseconds}};
}

class replay_source {
 public:
  using value_type = floors::event;

  replay_source(const floors::event_block& block, std::size_t passes)
      : block_(&block), passes_(passes) {}

  class reader {
   public:
    reader(const floors::event_block& block, std::size_t passes) : block_(&block), left_(passes) {}

    millrace::poll_status poll(millrace::source_output<floors::event>& out) {
      const auto& events = block_->events;
      const std::size_t to = std::min(next_ + out.room(), events.size());
      for (; next_ < to; ++next_) {
        floors::event e = events[next_];
        e.time += later_;
        out.emit(e, at(e.time));
      }
      if (next_ == events.size()) {
        next_ = 0;
        later_ += block_->span();
        --left_;
      }
      return left_ == 0 ? millrace::poll_status::end : millrace::poll_status::more;
    }

   private:
    const floors::event_block* block_;
    std::size_t left_;
    std::size_t next_ = 0;
    std::int64_t later_ = 0;
  };

  reader open(millrace::source_context&) const { return {*block_, passes_}; }

 private:
  const floors::event_block* block_;
  std::size_t passes_;
};

/// Calls `note(value)`, or `note(value, time)`, for each value.
template <class Note>
class noting_sink {
 public:
  static constexpr bool parallel = true;

  explicit noting_sink(Note note) : note_(std::move(note)) {}

  class writer {
   public:
    explicit writer(Note note) : note_(std::move(note)) {}
    template <class T>
    void write(const T& value, millrace::timestamp time) {
      if constexpr (std::is_invocable_v<Note&, const T&, millrace::timestamp>) {
        note_(value, time);
      } else {
        note_(value);
      }
    }

   private:
    Note note_;
  };

  writer open(millrace::sink_context&) const { return writer(note_); }

 private:
  Note note_;
};

}  // namespace bench
