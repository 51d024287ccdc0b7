// SPDX-License-Identifier: Apache-2.0
/// \file
/// A message received over MQTT. It points into the block of memory it was received in and keeps
/// that block alive. Distinct messages may be used from distinct threads.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/base/trace_context.hpp>
#include <millrace/net/mqtt/inbound.hpp>
#include <millrace/net/mqtt/property.hpp>
#include <millrace/record/message.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace millrace::mqtt {

namespace detail {

/// Carries acknowledgements from any thread to the source's. Bounded by what is in flight.
class acknowledgement_box {
 public:
  /// \param drain is posted to the environment when the box ceases to be empty
  acknowledgement_box(environment& env, std::function<void()> drain)
      : env_(&env), drain_(std::move(drain)) {}

  /// Thread safe. Without effect after `close`.
  void put(delivery_id id) {
    const std::lock_guard lock(mutex_);
    if (env_ == nullptr) return;
    ids_.push_back(id);
    if (ids_.size() == 1) env_->post(drain_);
  }

  /// Swaps the ids out; `into` is cleared first and lends its memory.
  void take(std::vector<delivery_id>& into) {
    into.clear();
    const std::lock_guard lock(mutex_);
    ids_.swap(into);
  }

  /// The source goes away.
  void close() {
    const std::lock_guard lock(mutex_);
    env_ = nullptr;
    drain_ = nullptr;
  }

 private:
  std::mutex mutex_;
  environment* env_;
  std::function<void()> drain_;
  std::vector<delivery_id> ids_;
};

}  // namespace detail

/// Topic, payload and time of reception are those of `millrace::message`; the rest is MQTT's.
struct message : millrace::message {
  property_view properties{};  ///< of version 5, e.g. `properties.user("unit")`
  delivery_id delivery = 0;
  std::shared_ptr<detail::acknowledgement_box> box{};  ///< only in mode `manual`, QoS 1 and 2
  std::uint16_t packet_id = 0;
  std::uint8_t qos = 0;
  bool retain = false;     ///< stored by the server before we subscribed
  bool duplicate = false;  ///< may have been received before

  /// What a journal keeps beyond topic and payload (`journaled`).
  template <class Writer>
  void save_attributes(Writer& to) const {
    to.number(packet_id);
    to.number(static_cast<std::uint8_t>(qos | (retain ? 4U : 0U) | (duplicate ? 8U : 0U)));
    to.raw(properties.bytes().data(), properties.bytes().size());
  }
  template <class Reader>
  void restore_attributes(Reader& from) {
    packet_id = from.template number<std::uint16_t>();
    const auto flags = from.template number<std::uint8_t>();
    qos = flags & 3U;
    retain = (flags & 4U) != 0;
    duplicate = (flags & 8U) != 0;
    properties = property_view{from.raw(from.remaining())};
  }

  /// The application is done with this message: the server may forget it. Acknowledgements are
  /// sent in the order of reception, so one that is missing holds back all later ones. Without
  /// effect unless the source acknowledges manually; a second call has none. Thread safe.
  void acknowledge() const {
    if (box != nullptr) box->put(delivery);
  }
};

/// The user properties traceparent and tracestate. O(number of properties).
MILLRACE_DECL incoming_trace incoming_trace_of(const message& from);

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/mqtt_message.ipp>
#endif
