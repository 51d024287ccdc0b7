// SPDX-License-Identifier: Apache-2.0
/// \file
/// The Yahoo streaming benchmark (Chintapalli et al., 2016): data, and the work by hand. Documents
/// of about 250 bytes; 100 campaigns of 10 ads; views are counted per campaign in windows of 10 s.
/// Times are out of order by up to 50 ms, and one in 100,000 is late by up to 60 s. Not thread
/// safe.
#pragma once

#include "floors/data.hpp"
#include "floors/documents.hpp"
#include "floors/panes.hpp"
#include "floors/reference.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace floors::yahoo {

inline constexpr std::int64_t skew = second / 20;
inline constexpr std::size_t campaigns = 100;
inline constexpr std::size_t ads = 1'000;

/// A text like a UUID.
inline std::string uuid(random_numbers& random) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (int i = 0; i < 36; ++i) {
    text += i == 8 || i == 13 || i == 18 || i == 23 ? '-' : digits[random.below(16)];
  }
  return text;
}

/// The ads; ten in a row are those of a campaign.
inline std::vector<std::string> ad_names() {
  random_numbers random(5);
  std::vector<std::string> all;
  for (std::size_t i = 0; i < ads; ++i) all.push_back(uuid(random));
  return all;
}

inline document_block make_events(std::size_t events) {
  random_numbers random(6);
  const auto names = ad_names();
  const char* const kinds[] = {"view", "click", "purchase"};
  document_block block;
  constexpr std::int64_t between = 10;  // microseconds
  constexpr std::int64_t start = 1'700'000'000 * second;
  for (std::size_t i = 0; i < events; ++i) {
    std::int64_t time = start + static_cast<std::int64_t>(i) * between;
    time -= static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(skew)));
    if (random.below(100'000) == 0) time -= static_cast<std::int64_t>(random.below(60 * second));
    time = std::max(time, start);
    block.add(R"({"user_id":")" + uuid(random) + R"(","page_id":")" + uuid(random) +
              R"(","ad_id":")" + names[random.below(ads)] + R"(","ad_type":"banner")" +
              R"(,"event_type":")" + kinds[random.below(3)] + R"(","event_time":)" +
              std::to_string(time / 1000) + R"(,"ip_address":"10.0.0.1"})");
  }
  block.close(static_cast<std::int64_t>(events) * between);
  return block;
}

/// Ad -> campaign, for both sides.
class campaign_table {
 public:
  campaign_table() : index_(ads) {
    for (const auto& name : ad_names()) index_(name);
  }
  std::uint64_t operator()(std::string_view ad) { return index_(ad) / (ads / campaigns); }

 private:
  station_index index_;
};

inline void add_result(digest& d, std::uint64_t campaign, std::int64_t end,
                       std::uint64_t count) noexcept {
  d.add(campaign ^ static_cast<std::uint64_t>(end), count);
}

struct view {
  std::string_view ad;
  std::string_view kind;
  std::int64_t time = 0;  ///< milliseconds
};

__attribute__((always_inline)) inline bool read_view(std::string_view json, view& out) noexcept {
  field_scanner in(json.data());
  std::string_view skipped;
  return in.text(R"({"user_id":")") && in.string(skipped) && in.text(R"(,"page_id":")") &&
         in.string(skipped) && in.text(R"(,"ad_id":")") && in.string(out.ad) &&
         in.text(R"(,"ad_type":")") && in.string(skipped) && in.text(R"(,"event_type":")") &&
         in.string(out.kind) && in.text(R"(,"event_time":)") && in.integer(out.time) &&
         in.text(R"(,"ip_address":")") && in.string(skipped) && in.text("}") &&
         in.ends_at(json.data() + json.size());
}

struct views_of {
  std::uint64_t count = 0;
  void add(double) noexcept { ++count; }
  void merge(const views_of& o) noexcept { count += o.count; }
};

/// The greatest time counts whatever the kind of event is, as in the library's program.
inline digest count_views(const document_block& block, std::size_t passes) {
  digest result;
  campaign_table campaign;
  const auto emit = [&](std::uint32_t, std::uint64_t key, std::int64_t end, const views_of& v) {
    add_result(result, key, end, v.count);
  };
  const window_options options{.slide = 10 * second, .panes = 1, .bound = skew, .keys = campaigns};
  pane_windows<views_of, decltype(emit)> windows(options, emit);
  std::size_t in_run = 0;
  for (std::size_t p = 0; p < passes; ++p) {
    const std::int64_t later = static_cast<std::int64_t>(p) * block.span;
    in_run = 0;
    for (std::size_t i = 0; i < block.places.size(); ++i) {
      view v;
      if (!read_view(block[i], v)) return {};
      const std::int64_t time = v.time * 1000 + later;
      windows.see(time);
      if (v.kind == "view") windows.add(campaign(v.ad), 0, time);
      if (++in_run == run_length) {
        windows.advance();
        in_run = 0;
      }
    }
    windows.advance();
  }
  windows.finish();
  return result;
}

}  // namespace floors::yahoo
