// SPDX-License-Identifier: Apache-2.0
/// \file
/// The trace of one asynchronous call: a span from the record's arrival to the result, and one for
/// each attempt. Null for records that are not sampled. Belongs to the operator's worker.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/operators/tracer.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace millrace {

class call_trace {
 public:
  /// The record has come to the operator.
  void begin(subtask& owner) {
    tracer* const t = owner.activity().tracer();
    if (MILLRACE_LIKELY(t == nullptr || !t->following())) return;
    self_ = std::make_unique<state>(state{*t, owner.name(), *t->hand_over(), 0, 0});
    self_->call = t->begin_span(self_->name, self_->from, 0);
  }

  /// An attempt begins; while the scope lives it is what is being worked on.
  trace_scope attempt() {
    if (MILLRACE_LIKELY(self_ == nullptr)) return trace_scope(nullptr);
    auto& s = *self_;
    s.attempt = s.by.begin_span(attempt_name, link(s.call), s.call);
    s.by.resume(s.name, std::make_unique<trace_link>(link(s.attempt)));
    return trace_scope(&s.by);
  }

  /// The attempt is over: "ok", or what went wrong.
  template <class Text>
  void answered(Text&& outcome) {
    if (MILLRACE_LIKELY(self_ == nullptr) || self_->attempt == 0) return;
    auto& s = *self_;
    s.by.end_span(attempt_name, link(s.call), std::exchange(s.attempt, 0), s.call, outcome());
  }

  /// The call is over.
  template <class Text>
  void end(Text&& outcome) {
    if (MILLRACE_LIKELY(self_ == nullptr)) return;
    answered(outcome);
    auto& s = *self_;
    s.by.end_span(s.name, s.from, s.call, s.call, outcome());
  }

  /// Gives the trace to the result that leaves now; null without one.
  trace_handle take() {
    if (MILLRACE_LIKELY(self_ == nullptr)) return nullptr;
    const auto s = std::move(self_);
    return std::make_unique<trace_link>(trace_link{s->from.trace, s->call, s->from.flow});
  }

 private:
  static constexpr std::string_view attempt_name = "attempt";

  struct state {
    tracer& by;
    std::string_view name;
    trace_link from;
    std::uint64_t call;
    std::uint64_t attempt;
  };

  trace_link link(std::uint64_t span) const { return {self_->from.trace, span}; }

  std::unique_ptr<state> self_;
};

}  // namespace millrace
