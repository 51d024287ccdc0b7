// SPDX-License-Identifier: Apache-2.0
/// \file
/// Hashing of keys and their assignment to key groups and workers. The hash is fixed (same value on
/// every platform and in every run): checkpoints and partitioning rely on it. Pure functions.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>

#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace millrace {

/// Upper bound of parallelism: keyed state is divided into this many groups.
inline constexpr std::uint32_t default_max_parallelism = 128;

namespace detail {

__extension__ typedef unsigned __int128 uint128;

constexpr std::uint64_t mix64(std::uint64_t a, std::uint64_t b) noexcept {
  const auto product = static_cast<uint128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

inline constexpr std::uint64_t hash_seed = 0xa0761d6478bd642fULL;
inline constexpr std::uint64_t hash_step = 0xe7037ed1a0b428dbULL;

template <class Word>
std::uint64_t load(const char* p) noexcept {
  Word w;
  std::memcpy(&w, p, sizeof(w));
  return w;
}

/// wyhash-like: reads 16 bytes a round, short texts in one.
inline std::uint64_t hash_bytes(const char* p, std::size_t n) noexcept {
  std::uint64_t seed = hash_seed ^ n;
  while (n > 16) {
    seed = mix64(load<std::uint64_t>(p) ^ hash_step, load<std::uint64_t>(p + 8) ^ seed);
    p += 16;
    n -= 16;
  }
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  if (n >= 8) {
    a = load<std::uint64_t>(p);
    b = load<std::uint64_t>(p + n - 8);
  } else if (n >= 4) {
    a = load<std::uint32_t>(p);
    b = load<std::uint32_t>(p + n - 4);
  } else if (n > 0) {
    a = (static_cast<std::uint64_t>(static_cast<unsigned char>(p[0])) << 16U) |
        (static_cast<std::uint64_t>(static_cast<unsigned char>(p[n / 2])) << 8U) |
        static_cast<unsigned char>(p[n - 1]);
  }
  return mix64(a ^ hash_step, b ^ seed);
}

}  // namespace detail

/// Hash of a key. Specialize for types of your own; tuples, pairs, arrays, strings, integers, enums
/// and times are there. A struct may have a member `std::uint64_t hash() const` instead.
template <class K>
struct key_hash {
  std::uint64_t operator()(const K& key) const noexcept {
    if constexpr (requires {
                    { key.hash() } -> std::convertible_to<std::uint64_t>;
                  }) {
      return key.hash();
    } else if constexpr (std::is_enum_v<K> || std::is_integral_v<K>) {
      return detail::mix64(static_cast<std::uint64_t>(key) ^ detail::hash_seed, detail::hash_step);
    } else if constexpr (std::is_convertible_v<const K&, std::string_view>) {
      const std::string_view text = key;
      return detail::hash_bytes(text.data(), text.size());
    } else if constexpr (requires { key.time_since_epoch().count(); }) {
      return key_hash<std::int64_t>{}(key.time_since_epoch().count());
    } else {
      static_assert(
          requires { std::tuple_size<K>::value; },
          "key_by(f): the key needs a hash: a string, integer, enum, tuple of these, a "
          "member hash(), or a specialization of millrace::key_hash");
      return std::apply(
          [](const auto&... parts) {
            std::uint64_t h = detail::hash_seed;
            ((h = detail::mix64(h ^ key_hash<std::remove_cvref_t<decltype(parts)>>{}(parts),
                                detail::hash_step)),
             ...);
            return h;
          },
          key);
    }
  }
};

/// Whether two keys are the same. Texts of 8 to 16 bytes, as ids often are, cost no call.
template <class K>
MILLRACE_ALWAYS_INLINE bool same_key(const K& a, const K& b) noexcept(noexcept(a == b)) {
  if constexpr (std::is_convertible_v<const K&, std::string_view>) {
    const std::string_view x = a, y = b;
    const std::size_t n = x.size();
    if (n != y.size()) return false;
    if (n < 8 || n > 16) return std::memcmp(x.data(), y.data(), n) == 0;
    using detail::load;
    return ((load<std::uint64_t>(x.data()) ^ load<std::uint64_t>(y.data())) |
            (load<std::uint64_t>(x.data() + n - 8) ^ load<std::uint64_t>(y.data() + n - 8))) == 0;
  } else {
    return a == b;
  }
}

/// What can be a key: equality comparable, copyable, hashable by `key_hash`.
template <class K>
concept key_type = std::copyable<K> && std::equality_comparable<K>;

/// Final mix of MurmurHash3 (32 bit), as Flink applies it before taking the group.
constexpr std::uint32_t murmur3_finalize(std::uint32_t h) noexcept {
  h ^= h >> 16U;
  h *= 0x85ebca6bU;
  h ^= h >> 13U;
  h *= 0xc2b2ae35U;
  h ^= h >> 16U;
  return h;
}

/// The key group of a hash; what is stored under it moves together when parallelism changes.
constexpr std::uint32_t key_group(std::uint64_t hash,
                                  std::uint32_t groups = default_max_parallelism) noexcept {
  return murmur3_finalize(static_cast<std::uint32_t>(hash ^ (hash >> 32U))) % groups;
}

/// The worker that owns a key group: contiguous ranges of groups.
constexpr std::uint32_t worker_of(std::uint32_t group, std::uint32_t workers,
                                  std::uint32_t groups = default_max_parallelism) noexcept {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(group) * workers / groups);
}

}  // namespace millrace
