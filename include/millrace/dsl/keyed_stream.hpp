// SPDX-License-Identifier: Apache-2.0
/// \file
/// `keyed_stream<K, T>`: records that know their key. Stateless steps keep the key; windows, joins
/// and process functions work per key. Streams must not outlive their pipeline.
#pragma once

#include <millrace/dsl/stream.hpp>

#include <string>
#include <utility>

namespace millrace {

/// Records of type T with a key of type K.
template <class K, class T, class Chain>
class keyed_stream : public stream_api<keyed_stream<K, T, Chain>, T, Chain> {
  using base = stream_api<keyed_stream<K, T, Chain>, T, Chain>;

 public:
  using key_type = K;
  static constexpr bool keyed = true;

  keyed_stream(pipeline_core& core, stream_origin from) : base(core, from, Chain{}, {}) {}
  keyed_stream(pipeline_core& core, stream_origin from, Chain steps, std::string label)
      : base(core, from, std::move(steps), std::move(label)) {}

  /// The end of a chain, as a plain keyed stream.
  template <class OtherChain>
    requires(!std::is_same_v<OtherChain, Chain> && Chain::length == 0)
  keyed_stream(const keyed_stream<K, T, OtherChain>& other)
      : keyed_stream(other.core(), other.origin()) {}

  template <class U, class C>
  keyed_stream<K, U, C> rebind(stream_origin from, C steps, std::string label) const {
    return keyed_stream<K, U, C>(this->core(), from, std::move(steps), std::move(label));
  }
};

}  // namespace millrace
