// SPDX-License-Identifier: Apache-2.0
/// \file
/// MQTT PUBLISH packets that lie in memory as a source of messages: what `mqtt::source` does
/// without the socket. One reader per worker.
#pragma once

#include "floors/reference.hpp"

#include <millrace/net/mqtt/decode.hpp>
#include <millrace/operators/source.hpp>
#include <millrace/record/message.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bench {

/// Cuts packets out of a block of received bytes, again and again; a pass after the first moves
/// the records' times on through the time of reception.
class packet_source {
 public:
  using value_type = millrace::message;

  packet_source(const floors::packet_block& block, std::size_t passes)
      : bytes_(millrace::shared_buffer::copy_of(block.bytes)),
        size_(block.size),
        span_(block.span),
        passes_(passes) {}

  class reader {
   public:
    explicit reader(const packet_source& from) : from_(from), left_(from.passes_) {}

    millrace::poll_status poll(millrace::source_output<millrace::message>& out) {
      namespace mqtt = millrace::mqtt;
      const std::size_t room = out.room();
      from_.bytes_.add_references(room);
      std::size_t taken = 0;
      for (; taken < room && at_ < from_.size_; ++taken) {
        mqtt::frame frame;
        const std::string_view rest{from_.bytes_.data() + at_, from_.size_ - at_};
        if (mqtt::read_frame(rest, 1 << 20, frame) != mqtt::frame_status::complete) break;
        mqtt::publish_packet packet;
        if (mqtt::decode_publish(frame, mqtt::version::v3_1_1, packet)) break;
        out.emit(millrace::message{from_.bytes_.adopt(), packet.topic, packet.payload, later_},
                 later_);
        at_ += frame.size;
      }
      from_.bytes_.drop_references(room - taken);
      if (at_ == from_.size_) {
        at_ = 0;
        later_ += millrace::duration{from_.span_};
        --left_;
      }
      return left_ == 0 ? millrace::poll_status::end : millrace::poll_status::more;
    }

   private:
    const packet_source& from_;
    std::size_t left_;
    std::size_t at_ = 0;
    millrace::timestamp later_{};
  };

  reader open(millrace::source_context&) const { return reader(*this); }

 private:
  millrace::shared_buffer bytes_;
  std::size_t size_;
  std::int64_t span_;
  std::size_t passes_;
};

}  // namespace bench
