// SPDX-License-Identifier: Apache-2.0
/// \file
/// Tells a writer to which trace the records belong that it is about to get. Belongs to one sink.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/operators/tracer.hpp>

namespace millrace {

/// A writer with a member `trace` hears of the trace of what follows, and of its end. Nothing
/// happens where contexts stay in the pipeline.
template <class Writer>
class traced_write {
 public:
  traced_write(Writer& writer, tracer* t) {
    if constexpr (hands_on) {
      if (MILLRACE_LIKELY(t == nullptr || !t->settings().propagates || !t->following())) return;
      writer_ = &writer;
      writer.trace(t->outgoing());
    }
  }
  traced_write(const traced_write&) = delete;
  traced_write& operator=(const traced_write&) = delete;
  ~traced_write() {
    if constexpr (hands_on) {
      if (writer_ != nullptr) writer_->trace(nullptr);
    }
  }

 private:
  static constexpr bool hands_on = requires(Writer& w, const trace_context* c) { w.trace(c); };
  Writer* writer_ = nullptr;
};

}  // namespace millrace
