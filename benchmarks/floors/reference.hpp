// SPDX-License-Identifier: Apache-2.0
/// \file
/// Floor of the reference pipeline: MQTT PUBLISH packets in a buffer -> three of eight JSON fields
/// -> windows of 10 s by 1 s per station -> line protocol. The scanner expects the fields in the
/// order in which they are made, and reads every byte of them. Not thread safe.
#pragma once

#include "floors/data.hpp"
#include "floors/panes.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace floors {

/// Packets one after the other, with 64 readable bytes behind the last.
struct packet_block {
  std::string bytes;
  std::size_t packets = 0;
  std::size_t size = 0;   ///< without what is behind the last
  std::int64_t span = 0;  ///< microseconds that a pass covers
};

/// QoS 0, topic `bikes/station-00042/status`, JSON of about 140 bytes with eight fields. Times are
/// in milliseconds; one packet in 100 is late by up to two seconds.
inline packet_block make_packets(std::size_t packets, std::uint64_t stations,
                                 std::uint64_t per_second) {
  random_numbers random(2);
  packet_block block;
  const std::int64_t between = second / static_cast<std::int64_t>(per_second);
  const std::int64_t start = 1'700'000'000 * second;
  std::int64_t time = start;
  for (std::size_t i = 0; i < packets; ++i, time += between) {
    std::string station = std::to_string(random.below(stations));
    station = "station-" + std::string(5 - std::min<std::size_t>(5, station.size()), '0') + station;
    std::int64_t at = time / 1000;
    if (random.below(100) == 0) at -= static_cast<std::int64_t>(random.below(2000));
    at = std::max(at, start / 1000);
    const auto number = [&](std::uint64_t limit) { return std::to_string(random.below(limit)); };
    const std::string json = R"({"id":)" + std::to_string(i) + R"(,"station":")" + station +
                             R"(","bikes":)" + number(40) + "." +
                             (random.below(2) == 0 ? "5" : "25") + R"(,"docks":)" + number(40) +
                             R"(,"lat":59.9)" + number(90'000) + R"(,"lon":10.7)" + number(90'000) +
                             R"(,"state":"in_service","at":)" + std::to_string(at) + "}";
    const std::string topic = "bikes/" + station + "/status";
    const std::size_t length = 2 + topic.size() + json.size();
    block.bytes += '\x30';
    block.bytes += static_cast<char>(length % 128 | 0x80);
    block.bytes += static_cast<char>(length / 128);
    block.bytes += '\0';
    block.bytes += static_cast<char>(topic.size());
    block.bytes += topic + json;
  }
  block.packets = packets;
  block.size = block.bytes.size();
  block.bytes.append(64, '\0');
  block.span = between * static_cast<std::int64_t>(packets);
  return block;
}

/// One line of line protocol: `bikes,station=x sum=1,min=1,max=1,count=1i 1700000000000000000\n`.
inline void write_line(std::string& out, std::string_view station, double sum, double least,
                       double greatest, std::uint64_t count, std::int64_t end) {
  char digits[32];
  const auto number = [&](auto value) {
    out.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
  };
  out.append("bikes,station=").append(station).append(" sum=");
  number(sum);
  out.append(",min=");
  number(least);
  out.append(",max=");
  number(greatest);
  out.append(",count=");
  number(count);
  out.append("i ");
  number(end);
  out.append("000\n");
}

/// What lines come to, in any order.
inline void add_line(digest& d, std::string_view line) noexcept {
  std::uint64_t head = 0;
  std::uint64_t tail = 0;
  std::memcpy(&head, line.data() + 14 + 5, 8);
  std::memcpy(&tail, line.data() + line.size() - 16, 8);
  d.add(head ^ line.size(), tail);
}

/// Reads the eight fields in order. Each function moves `at` on; false: something else is there.
class field_scanner {
 public:
  explicit field_scanner(const char* at) : at_(at) {}

  template <std::size_t N>
  __attribute__((always_inline)) bool text(const char (&expected)[N]) noexcept {
    if (std::memcmp(at_, expected, N - 1) != 0) return false;
    at_ += N - 1;
    return true;
  }
  __attribute__((always_inline)) bool integer(std::int64_t& out) noexcept {
    const char* start = at_;
    std::int64_t value = 0;
    while (is_digit(*at_)) value = value * 10 + (*at_++ - '0');
    out = value;
    return at_ != start && at_ - start < 19;
  }
  __attribute__((always_inline)) bool number(double& out) noexcept {
    static constexpr double powers[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                        1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char* start = at_;
    std::int64_t value = 0;
    while (is_digit(*at_)) value = value * 10 + (*at_++ - '0');
    std::ptrdiff_t decimals = 0;
    if (*at_ == '.') {
      const char* point = at_++;
      while (is_digit(*at_)) value = value * 10 + (*at_++ - '0');
      decimals = at_ - point - 1;
    }
    if (at_ == start || at_ - start > 16) return false;
    out = static_cast<double>(value) / powers[decimals];
    return true;
  }
  __attribute__((always_inline)) bool string(std::string_view& out) noexcept {
    const char* start = at_;
    while (*at_ != '"' && *at_ != '\\' && static_cast<unsigned char>(*at_) >= 0x20) ++at_;
    out = {start, static_cast<std::size_t>(at_ - start)};
    return *at_++ == '"';
  }
  bool ends_at(const char* end) const noexcept { return at_ == end; }

 private:
  static bool is_digit(char c) noexcept { return static_cast<unsigned char>(c - '0') < 10; }
  const char* at_;
};

struct status {
  std::string_view station;
  double bikes = 0;
  std::int64_t at = 0;
};

__attribute__((always_inline)) inline bool read_status(std::string_view json,
                                                       status& out) noexcept {
  field_scanner in(json.data());
  std::int64_t whole = 0;
  double skipped = 0;
  std::string_view state;
  return in.text(R"({"id":)") && in.integer(whole) && in.text(R"(,"station":")") &&
         in.string(out.station) && in.text(R"(,"bikes":)") && in.number(out.bikes) &&
         in.text(R"(,"docks":)") && in.integer(whole) && in.text(R"(,"lat":)") &&
         in.number(skipped) && in.text(R"(,"lon":)") && in.number(skipped) &&
         in.text(R"(,"state":")") && in.string(state) && in.text(R"(,"at":)") &&
         in.integer(out.at) && in.text("}") && in.ends_at(json.data() + json.size());
}

/// Station names by number, and back, through a table of 64-bit hashes and a comparison.
class station_index {
 public:
  explicit station_index(std::size_t most) {
    while (size_ < 4 * most) size_ *= 2;
    entries_.resize(size_);
  }
  __attribute__((always_inline)) std::uint64_t operator()(std::string_view name) {
    std::uint64_t hash = name.size() * 0x9e3779b97f4a7c15ULL;
    const char* at = name.data();
    std::size_t left = name.size();
    for (; left >= 8; at += 8, left -= 8) hash = mix(hash, at, 8);
    if (left != 0) hash = mix(hash, at, left);
    for (std::size_t i = hash >> 32U & (size_ - 1);; i = (i + 1) & (size_ - 1)) {
      entry& e = entries_[i];
      if (e.number != 0 && e.hash == hash && names_[e.number - 1] == name) return e.number - 1;
      if (e.number == 0) {
        names_.emplace_back(name);
        e = {hash, static_cast<std::uint32_t>(names_.size())};
        return e.number - 1;
      }
    }
  }
  std::string_view name(std::uint64_t number) const noexcept { return names_[number]; }

 private:
  struct entry {
    std::uint64_t hash = 0;
    std::uint32_t number = 0;
  };
  static std::uint64_t mix(std::uint64_t hash, const char* at, std::size_t n) noexcept {
    std::uint64_t word = 0;
    if (n == 8) {
      std::memcpy(&word, at, 8);
    } else {
      std::memcpy(&word, at, n);
    }
    hash = (hash ^ word) * 0xd1b54a32d192ed03ULL;
    return hash ^ hash >> 29U;
  }
  std::size_t size_ = 64;
  std::vector<entry> entries_;
  std::vector<std::string> names_;
};

/// The same windows as `pane_windows`, for keys that are numbers already.
inline digest reference_pipeline(const packet_block& block, std::size_t passes,
                                 std::size_t stations) {
  digest result;
  station_index names(stations);
  std::string line;
  const auto write = [&](std::uint32_t, std::uint64_t number, std::int64_t end, const totals& t) {
    line.clear();
    write_line(line, names.name(number), t.sum, t.least, t.greatest, t.count, end - 1);
    add_line(result, line);
  };
  const window_options options{.keys = stations};
  pane_windows<totals, decltype(write)> windows(options, write);
  const char* const begin = block.bytes.data();
  for (std::size_t p = 0; p < passes; ++p) {
    const std::int64_t later = static_cast<std::int64_t>(p) * block.span;
    std::size_t in_run = 0;
    for (const char* at = begin; at < begin + block.size;) {
      const auto* bytes = reinterpret_cast<const unsigned char*>(at);
      if (bytes[0] != 0x30) return {};
      std::size_t length = bytes[1] & 0x7fU;
      at += 2;
      for (unsigned shift = 7; (at[-1] & 0x80) != 0; shift += 7, ++at) {
        length |= static_cast<std::size_t>(static_cast<unsigned char>(*at) & 0x7fU) << shift;
      }
      const std::size_t topic = static_cast<std::size_t>(static_cast<unsigned char>(at[0])) << 8U |
                                static_cast<unsigned char>(at[1]);
      status s;
      if (!read_status({at + 2 + topic, length - 2 - topic}, s)) return {};
      windows.add(names(s.station), s.bikes, s.at * 1000 + later);
      at += length;
      if (++in_run == run_length) {
        windows.advance();
        in_run = 0;
      }
    }
    if (in_run != 0) windows.advance();
  }
  windows.finish();
  return result;
}

}  // namespace floors
