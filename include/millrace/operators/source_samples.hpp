// SPDX-License-Identifier: Apache-2.0
/// \file
/// Which records of a source are traced, and how they leave it: each in a batch of its own. Belongs
/// to one source; used only when the pipeline is traced.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/trace_context.hpp>
#include <millrace/operators/tracer.hpp>
#include <millrace/record/batch.hpp>

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace millrace {

class source_samples {
 public:
  /// Hands on all records in their order. O(records)
  template <class T, class Output>
  MILLRACE_NOINLINE void hand_on(batch<T>& records, Output& out, tracer& t, std::string_view name) {
    const auto now = t.now();
    const bool due = sampler_.due(now, t.settings());
    std::size_t from = 0;
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto parent = context_of(std::as_const(records).value(i), t);
      const bool wanted = parent && parent->sampled && sampler_.admits(now, t.settings());
      if (!wanted && !(due && i == 0)) continue;
      hand_on(records, from, i, out);
      from = i + 1;
      t.begin_trace(name, wanted ? &*parent : nullptr);
      const trace_scope scope(&t);
      hand_on(records, i, from, out);
    }
    if (from == 0) return out.forward(records);
    hand_on(records, from, records.size(), out);
  }

 private:
  template <class T>
  static std::optional<trace_context> context_of(const T& value, tracer& t) {
    if constexpr (requires {
                    { incoming_trace_of(value) } -> std::convertible_to<incoming_trace>;
                  }) {
      if (!t.settings().accepts_contexts) return std::nullopt;
      const incoming_trace brought = incoming_trace_of(value);
      if (brought.parents == 0) return std::nullopt;
      auto context = to_context(brought);
      if (!context) t.note_bad_context();
      return context;
    } else {
      return std::nullopt;
    }
  }

  template <class T, class Output>
  static void hand_on(batch<T>& records, std::size_t from, std::size_t to, Output& out) {
    if (from == to) return;
    batch<T> part(to - from);
    for (std::size_t i = from; i < to; ++i) {
      part.push(std::move(records.value(i)), records.time(i), records.slot(i));
    }
    out.forward(part);
  }

  trace_sampler sampler_;
};

}  // namespace millrace
