// SPDX-License-Identifier: Apache-2.0
/// \file
/// An aggregate over some of the records. As thread safe as its parts.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/windows/aggregate.hpp>
#include <millrace/windows/projection.hpp>

#include <utility>

namespace millrace {

/// Folds the records for which the predicate holds, by another aggregate: `where(f, count{})`. If
/// there is none, the result is that of an empty state (0, NaN, an empty list).
template <class Predicate, class A>
class where : public A {
 public:
  using state = typename A::state;

  where(Predicate predicate, A aggregate)
      : A(std::move(aggregate)), predicate_(std::move(predicate)) {}

  template <class In>
    requires adds_record<A, In>
  void add(state& s, const In& in) const {
    if (project(predicate_, in)) A::add(s, in);
  }
  template <class In>
    requires adds_timed_record<A, In>
  void add(state& s, const In& in, timestamp time) const {
    if (project(predicate_, in)) A::add(s, in, time);
  }

 private:
  [[no_unique_address]] Predicate predicate_;
};

}  // namespace millrace
