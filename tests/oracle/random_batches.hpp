// SPDX-License-Identifier: Apache-2.0
/// \file
/// Random batches of events and a source that emits them, one batch per poll: where watermarks fall
/// does not depend on the run. For pipelines in simulation. Single-threaded.
#pragma once

#include <millrace/operators/source.hpp>

#include "oracle/random_stream.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace oracle {

using event_batches = std::vector<std::vector<event>>;

/// Up to 20 batches of up to 39 events; `value` is 0 to 49.
inline event_batches random_batches(random_source& random) {
  event_batches batches;
  const std::int64_t keys = random.between(1, 12);
  const std::int64_t disorder = random.between(0, 60);
  std::int64_t now = random.one_in(3) ? -500 : 0;
  int id = 0;
  for (std::int64_t b = random.between(1, 20); b > 0; --b) {
    auto& batch = batches.emplace_back();
    for (std::int64_t i = random.below(40); i > 0; --i) {
      now += random.below(8);
      batch.push_back({static_cast<int>(random.below(keys)), now - random.between(0, disorder),
                       static_cast<int>(random.below(50)), id++});
    }
  }
  return batches;
}

struct batch_source {
  using value_type = event;
  std::shared_ptr<const event_batches> batches;

  explicit batch_source(event_batches all)
      : batches(std::make_shared<const event_batches>(std::move(all))) {}

  struct reader {
    std::shared_ptr<const event_batches> batches;
    std::size_t next = 0;
    millrace::poll_status poll(millrace::source_output<event>& out) {
      if (next == batches->size()) return millrace::poll_status::end;
      for (const auto& e : (*batches)[next]) out.emit(e, millrace::timestamp{});
      ++next;
      return millrace::poll_status::more;
    }
  };
  reader open(millrace::source_context&) const { return {batches, 0}; }
};

inline std::vector<std::string> with_prefix(const std::vector<std::string>& all,
                                            const std::string& prefix) {
  std::vector<std::string> some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some),
               [&](const std::string& l) { return l.starts_with(prefix); });
  return some;
}

}  // namespace oracle
