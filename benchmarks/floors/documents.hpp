// SPDX-License-Identifier: Apache-2.0
/// \file
/// Documents one after the other in one piece of memory. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace floors {

/// 64 bytes behind every document are readable, once `close` has been called.
struct document_block {
  std::string bytes;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places;  ///< offset, size
  std::int64_t span = 0;  ///< microseconds that a pass through them covers

  void add(std::string_view text) {
    places.emplace_back(static_cast<std::uint32_t>(bytes.size()),
                        static_cast<std::uint32_t>(text.size()));
    bytes += text;
  }
  void close(std::int64_t covered) {
    bytes.append(64, ' ');
    span = covered;
  }
  std::string_view operator[](std::size_t i) const noexcept {
    return {bytes.data() + places[i].first, places[i].second};
  }
};

}  // namespace floors
