// SPDX-License-Identifier: Apache-2.0
/// \file
/// All records, up to a bound. Pure values.
#pragma once

#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace millrace {

/// The first records, and how many there were beyond the bound.
template <class T>
struct collected {
  std::vector<T> values;
  std::uint64_t omitted = 0;

  friend bool operator==(const collected&, const collected&) = default;
  BOOST_DESCRIBE_CLASS(collected, (), (values, omitted), (), ())
};

/// \see collect
template <class T, class Projection>
class collect_aggregate {
 public:
  using state = collected<T>;

  collect_aggregate(std::size_t most, Projection projection)
      : most_(most), projection_(projection) {}

  template <class In>
  void add(state& s, const In& in) const {
    if (s.values.size() < most_) {
      s.values.push_back(static_cast<T>(project(projection_, in)));
    } else {
      ++s.omitted;
    }
  }
  void merge(state& s, const state& later) const {
    const std::size_t room = most_ - std::min(most_, s.values.size());
    const std::size_t taken = std::min(room, later.values.size());
    s.values.insert(s.values.end(), later.values.begin(),
                    later.values.begin() + static_cast<std::ptrdiff_t>(taken));
    s.omitted += later.omitted + (later.values.size() - taken);
  }
  state result(const state& s) const { return s; }

 private:
  std::size_t most_;
  [[no_unique_address]] Projection projection_;
};

/// A part of the first `most` records (by slice, then arrival), as `collected<T>`; the others are
/// counted: `collect(100, &reading::bikes)`. State: at most `most` values.
template <class Projection>
auto collect(std::size_t most, Projection projection) {
  return collect_aggregate<projected_t<Projection>, Projection>(most, projection);
}

/// The records themselves: `collect<reading>(100)`.
template <class T>
auto collect(std::size_t most) {
  return collect_aggregate<T, std::identity>(most, {});
}

}  // namespace millrace
