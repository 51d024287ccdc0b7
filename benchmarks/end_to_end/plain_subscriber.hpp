// SPDX-License-Identifier: Apache-2.0
/// \file
/// MQTT subscribers without the library: one that only counts, one that looks at the time, and the
/// floor of the reference pipeline behind a socket. Blocking reads into one buffer. One thread.
#pragma once

#include "floors/reference.hpp"
#include "replayer/replayer.hpp"

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// Whether TCP's delayed acknowledgements are switched off again after every read, which keeps a
/// sender with Nagle's algorithm from waiting.
enum class quick_acknowledge { no, yes };

/// Reads PUBLISH packets of QoS 0 until `note` returns false or the other side closes.
/// `note(payload)`, 64 bytes behind it are readable; `read_end()` after the packets of one read.
template <class Note, class ReadEnd>
void read_packets(const replayer::socket_handle& from, quick_acknowledge quick, Note&& note,
                  ReadEnd&& read_end) {
  std::vector<char> buffer(256 * 1024 + 64);
  std::size_t held = 0;
  for (;;) {
    const std::size_t n = from.read_some(buffer.data() + held, buffer.size() - 64 - held);
    if (n == 0) return;
    if (quick == quick_acknowledge::yes) {
      const int on = 1;
      setsockopt(from.get(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    }
    held += n;
    std::size_t at = 0;
    while (held - at >= 4) {
      const auto* b = reinterpret_cast<const unsigned char*>(buffer.data() + at);
      std::size_t length = b[1] & 0x7fU;
      std::size_t head = 2;
      for (unsigned shift = 7; (b[head - 1] & 0x80U) != 0 && head < 4; shift += 7, ++head) {
        length |= static_cast<std::size_t>(b[head] & 0x7fU) << shift;
      }
      if (held - at < head + length) break;
      if ((b[0] & 0xf0U) == 0x30) {
        const std::size_t topic = static_cast<std::size_t>(b[head]) << 8U | b[head + 1];
        if (!note(std::string_view{buffer.data() + at + head + 2 + topic, length - 2 - topic})) {
          return;
        }
      }
      at += head + length;
    }
    read_end();
    std::memmove(buffer.data(), buffer.data() + at, held - at);
    held -= at;
  }
}

/// Connects and subscribes to everything.
inline replayer::socket_handle subscribe_to(std::uint16_t port) {
  auto s = replayer::connect_to(port);
  s.write_all(replayer::connect_packet("plain"));
  replayer::await_packet(s, 0x20);
  // Not waited for: packets may follow in the same read, and `read_packets` skips SUBACK.
  s.write_all(replayer::subscribe_packet("bikes/+/status"));
  return s;
}

/// The windows and lines of the reference pipeline, behind any way of getting at the fields.
class reference_windows {
 public:
  reference_windows(const floors::packet_block& block, std::size_t stations)
      : packets_(block.packets),
        span_(block.span),
        names_(stations),
        windows_({.bound = 21 * floors::second / 10, .keys = stations}, writer{this}) {}

  void add(const floors::status& s) {
    const std::int64_t later = span_ * static_cast<std::int64_t>(count_++ / packets_);
    windows_.add(names_(s.station), s.bikes, s.at * 1000 + later);
    if (count_ % floors::run_length == 0) windows_.advance();
  }
  void finish() { windows_.finish(); }
  std::uint64_t count() const noexcept { return count_; }
  const floors::digest& lines() const noexcept { return lines_; }

 private:
  struct writer {
    reference_windows* self;
    void operator()(std::uint32_t, std::uint64_t number, std::int64_t end,
                    const floors::totals& t) const {
      self->line_.clear();
      floors::write_line(self->line_, self->names_.name(number), t.sum, t.least, t.greatest,
                         t.count, end - 1);
      floors::add_line(self->lines_, self->line_);
    }
  };

  std::size_t packets_;
  std::int64_t span_;
  std::uint64_t count_ = 0;
  floors::station_index names_;
  std::string line_;
  floors::digest lines_;
  floors::pane_windows<floors::totals, writer> windows_;
};

}  // namespace bench
