// SPDX-License-Identifier: Apache-2.0
/// \file
/// The decode step: bytes to values by a codec, in the fused chain. What cannot be decoded becomes
/// a dead letter with topic, payload and reason. Not thread safe: one copy per worker.
#pragma once

#include <millrace/codec/codec.hpp>
#include <millrace/operators/steps.hpp>
#include <millrace/record/message.hpp>

#include <functional>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

/// The default last touch on a decoded value: none.
struct no_fill {};

/// Decodes into the whole value.
struct whole_value {
  template <class T>
  T& operator()(T& value) const noexcept {
    return value;
  }
};

/// What a codec has to decode when it fills the part of a `T` that `Part` names.
template <class T, class Part>
using decoded_part_t = std::remove_cvref_t<std::invoke_result_t<const Part&, T&>>;

/// Decodes `message.payload` into (a part of) a recycled `T`, then lets `fill(message, value)` set
/// what the payload does not hold (parts of the topic): members that neither sets hold anything.
/// `fill` may return `result<void>` to refuse.
template <class T, class Codec, class Fill = no_fill, class Part = whole_value>
class decode_step {
  using part_type = decoded_part_t<T, Part>;

 public:
  template <class In>
  using output_type = T;

  decode_step(const Codec& codec, Fill fill, Part part = {})
      : codec_(codec),
        decoder_(codec.template make_decoder<part_type>()),
        fill_(std::move(fill)),
        part_(part) {}

  // Every worker has a decoder of its own.
  decode_step(const decode_step& other) : decode_step(other.codec_, other.fill_, other.part_) {}
  decode_step(decode_step&&) = default;

  /// For the plan.
  template <class F>
  static void describe(F&& note) {
    if constexpr (requires { std::string(Codec::name); }) note("codec", std::string(Codec::name));
  }

  /// As the last step of a chain it decodes right into the batch.
  template <class Message, class Next>
  MILLRACE_ALWAYS_INLINE void run(Message&& message, step_position& at, Next&& next) {
    if constexpr (requires { next.place(at); }) {
      if (MILLRACE_LIKELY(decode(message, next.place(at), at))) return next.filled();
      next.drop();
    } else {
      if (MILLRACE_LIKELY(decode(message, value_, at))) next(std::move(value_), at);
    }
  }

 private:
  template <class Message>
  MILLRACE_ALWAYS_INLINE bool decode(const Message& message, T& value, step_position& at) {
    const std::string_view bytes = message.payload;
    const auto decoded = decoder_.decode({bytes, readable(message)}, std::invoke(part_, value));
    if (MILLRACE_UNLIKELY(!decoded)) return refuse(message, decoded.error(), at);
    if constexpr (std::is_same_v<Fill, no_fill>) {
      return true;
    } else if constexpr (std::is_void_v<std::invoke_result_t<Fill&, const Message&, T&>>) {
      std::invoke(fill_, message, value);
      return true;
    } else {
      const result<void> filled = std::invoke(fill_, message, value);
      return filled ? true : refuse(message, filled.error(), at);
    }
  }

  template <class Message>
  static std::size_t readable(const Message& message) noexcept {
    const shared_buffer& owner = message.owner;
    if (!owner) return message.payload.size();
    const char* end = owner.data() + owner.capacity() + shared_buffer::padding;
    return static_cast<std::size_t>(end - message.payload.data());
  }

  template <class Message>
  MILLRACE_NOINLINE static bool refuse(const Message& message, const error& why,
                                       step_position& at) {
    dead_letter letter{{}, why.to_string(), {}, std::string(message.payload), at.time};
    if constexpr (requires { std::string(message.topic); }) letter.topic = message.topic;
    at.owner->emit_dead_letter(std::move(letter));
    return false;
  }

  Codec codec_;
  decltype(std::declval<const Codec&>().template make_decoder<part_type>()) decoder_;
  Fill fill_;
  Part part_;
  T value_{};
};

}  // namespace millrace
