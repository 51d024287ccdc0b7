// SPDX-License-Identifier: Apache-2.0
/// \file
/// `keyed.window(...)`: what can be done per key and window. Streams must not outlive their
/// pipeline.
#pragma once

#include <millrace/dsl/stream.hpp>
#include <millrace/operators/window_aggregate.hpp>
#include <millrace/windows/aggregate.hpp>
#include <millrace/windows/window.hpp>

#include <string>
#include <utility>

namespace millrace {

/// A keyed stream cut into event-time windows.
template <class K, class T>
class windowed_stream {
 public:
  windowed_stream(pipeline_core& core, stream_origin from, sliding assigner)
      : core_(&core), from_(from), assigner_(assigner) {}

  /// How long after its watermark a window still takes records; each one fires the updated result
  /// again, at once. Default: not at all.
  windowed_stream allowed_lateness(duration lateness) const {
    windowed_stream copy(*this);
    copy.lateness_ = lateness;
    return copy;
  }

  /// Where records go that are too late for all their windows. Without this they are counted.
  windowed_stream late_to(side_output<T> tag) const {
    windowed_stream copy(*this);
    copy.late_ = std::move(tag);
    return copy;
  }

  /// One `window_result` per key and window with at least one record, when the watermark reaches
  /// the window's end. Cost per record does not depend on the windows' overlap.
  template <class A>
  auto aggregate(std::string name, A aggregate) const {
    if constexpr (aggregate_for<A, T>) {
      using op = window_aggregate_operator<K, T, A>;
      return keyed_stream<K, T>(*core_, from_)
          .template keyed_node<typename op::output_type, T>(
              "window", std::move(name),
              [self = *this, aggregate = std::move(aggregate)](std::shared_ptr<key_table<K>> keys) {
                return op(self.assigner_, self.lateness_, aggregate, std::move(keys), self.late_);
              });
    } else {
      static_assert(wrong<A>,
                    "aggregate(name, a): a must be an aggregate for this stream's values: state, "
                    "add(state, value), merge(state, later), result(state)");
      return keyed_stream<K, T>(*core_, from_);
    }
  }

 private:
  pipeline_core* core_;
  stream_origin from_;
  sliding assigner_;
  duration lateness_{};
  side_output<T> late_{"late"};
};

}  // namespace millrace
