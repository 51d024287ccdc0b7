// SPDX-License-Identifier: Apache-2.0
/// \file
/// A blocking MQTT client that sends and receives single packets, for tests that have to see every
/// one of them. Every wait ends after a time limit. Not thread safe.
#pragma once

#include <millrace/net/mqtt/codec.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace millrace::testing {

class mqtt_probe {
 public:
  explicit mqtt_probe(std::uint16_t port, mqtt::version version = mqtt::version::v5)
      : context_(std::make_unique<boost::asio::io_context>()),
        version_(version),
        socket_(*context_) {
    socket_.connect({boost::asio::ip::address_v4::loopback(), port});
    socket_.set_option(boost::asio::ip::tcp::no_delay(true));
  }

  /// Sends CONNECT and returns the answer. Properties are encoded from `properties`.
  mqtt::connack_packet connect(mqtt::connect_packet packet,
                               const mqtt::properties& properties = {}) {
    packet.version = version_;
    std::string encoded;
    if (version_ == mqtt::version::v5) mqtt::append_properties(properties, encoded);
    packet.properties = mqtt::property_view(encoded);
    send(packet);
    return expect<mqtt::connack_packet>();
  }

  void send(const mqtt::packet& packet) {
    std::string bytes;
    if (!mqtt::encode(packet, version_, bytes)) throw std::runtime_error("not encodable");
    send_bytes(bytes);
  }

  void send_bytes(std::string_view bytes) {
    boost::system::error_code ignored;  // a cut connection shows when reading
    boost::asio::write(socket_, boost::asio::buffer(bytes.data(), bytes.size()), ignored);
  }

  /// The next packet; its views are valid until the next call. Nothing when the connection ended.
  std::optional<mqtt::packet> receive(std::chrono::milliseconds limit = std::chrono::seconds{10}) {
    buffer_.erase(0, std::exchange(done_, 0));
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (true) {
      mqtt::frame frame;
      const auto status = mqtt::read_frame(buffer_, 1U << 28U, frame);
      if (status == mqtt::frame_status::failed) throw std::runtime_error("no MQTT packet");
      if (status == mqtt::frame_status::complete) {
        done_ = frame.size;
        mqtt::packet packet;
        if (const auto failure = mqtt::decode(frame, version_, packet)) {
          throw std::runtime_error(failure.words);
        }
        return packet;
      }
      if (!read_more(deadline)) return std::nullopt;
    }
  }

  /// The next packet, which must be of that type.
  template <class Packet>
  Packet expect() {
    auto packet = receive();
    if (!packet) throw std::runtime_error("the connection has ended");
    if (!std::holds_alternative<Packet>(*packet)) {
      throw std::runtime_error("another packet, number " + std::to_string(packet->index()));
    }
    return std::get<Packet>(std::move(*packet));
  }

  /// Whether the connection ends, without a further packet.
  bool ends() { return !receive().has_value(); }

  /// Whether nothing arrives: a PINGREQ is answered by nothing but PINGRESP.
  bool is_quiet() {
    send(mqtt::pingreq_packet{});
    const auto packet = receive();
    return packet && std::holds_alternative<mqtt::pingresp_packet>(*packet);
  }

  mqtt::suback_packet subscribe(mqtt::subscription wanted, const mqtt::properties& properties = {},
                                std::uint16_t id = 1) {
    std::string encoded;
    if (version_ == mqtt::version::v5) mqtt::append_properties(properties, encoded);
    send(mqtt::subscribe_packet{id, {wanted}, mqtt::property_view(encoded)});
    return expect<mqtt::suback_packet>();
  }

  void publish(mqtt::publish_packet message, const mqtt::properties& properties = {}) {
    std::string encoded;
    if (version_ == mqtt::version::v5) mqtt::append_properties(properties, encoded);
    message.properties = mqtt::property_view(encoded);
    send(message);
  }

  void acknowledge(mqtt::packet_type type, std::uint16_t id) {
    send(mqtt::acknowledge_packet{.type = type, .packet_id = id});
  }

  /// Closes without DISCONNECT.
  void drop() { socket_.close(); }

 private:
  bool read_more(std::chrono::steady_clock::time_point deadline) {
    std::optional<std::pair<boost::system::error_code, std::size_t>> got;
    char chunk[4096];
    socket_.async_read_some(boost::asio::buffer(chunk),
                            [&got](const boost::system::error_code& code, std::size_t size) {
                              got.emplace(code, size);
                            });
    context_->restart();
    context_->run_until(deadline);
    if (!got) {
      socket_.cancel();
      context_->restart();
      context_->run();
      throw std::runtime_error("nothing was received in time");
    }
    buffer_.append(chunk, got->second);
    return !got->first;
  }

  std::unique_ptr<boost::asio::io_context> context_;
  mqtt::version version_;
  boost::asio::ip::tcp::socket socket_;
  std::string buffer_;
  std::size_t done_ = 0;
};

}  // namespace millrace::testing
