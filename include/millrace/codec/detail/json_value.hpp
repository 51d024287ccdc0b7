// SPDX-License-Identifier: Apache-2.0
/// \file
/// Storing what was read: range checks, times, enumerators. Both readers and the writer share it,
/// so that they agree. Included by the codec's implementation only.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/base/time_format.hpp>
#include <millrace/codec/detail/json_plan.hpp>
#include <millrace/codec/detail/json_token.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::detail {

template <class N>
MILLRACE_ALWAYS_INLINE void json_put(void* out, N value) noexcept {
  std::memcpy(out, &value, sizeof value);
}

/// Stores `value` as an `N`, if it fits.
template <class N, class V>
MILLRACE_ALWAYS_INLINE bool json_put_integer(void* out, V value) noexcept {
  if (!std::in_range<N>(value)) return false;
  json_put(out, static_cast<N>(value));
  return true;
}

/// Stores an integer as what `kind` says, if it fits.
template <class V>
inline bool json_put_integer(void* out, json_kind kind, V value) noexcept {
  switch (kind) {
    case json_kind::int8: return json_put_integer<std::int8_t>(out, value);
    case json_kind::int16: return json_put_integer<std::int16_t>(out, value);
    case json_kind::int32: return json_put_integer<std::int32_t>(out, value);
    case json_kind::int64: return json_put_integer<std::int64_t>(out, value);
    case json_kind::uint8: return json_put_integer<std::uint8_t>(out, value);
    case json_kind::uint16: return json_put_integer<std::uint16_t>(out, value);
    case json_kind::uint32: return json_put_integer<std::uint32_t>(out, value);
    case json_kind::uint64: return json_put_integer<std::uint64_t>(out, value);
    default: return false;
  }
}

/// What `json_put_integer` stored; unsigned 64-bit values keep their bits.
inline std::int64_t json_get_integer(const void* in, json_kind kind) noexcept {
  switch (kind) {
    case json_kind::int8: return json_load<std::int8_t>(in);
    case json_kind::int16: return json_load<std::int16_t>(in);
    case json_kind::int32: return json_load<std::int32_t>(in);
    case json_kind::uint8: return json_load<std::uint8_t>(in);
    case json_kind::uint16: return json_load<std::uint16_t>(in);
    case json_kind::uint32: return json_load<std::uint32_t>(in);
    default: return json_load<std::int64_t>(in);
  }
}

/// A double as a float, unless it is beyond the floats.
inline bool json_put_float(void* out, double value) noexcept {
  const auto narrow = static_cast<float>(value);
  if (std::isinf(narrow)) return false;
  json_put(out, narrow);
  return true;
}

/// Copies two to sixteen bytes, or one, as two overlapping pieces.
MILLRACE_ALWAYS_INLINE void json_copy_short(char* to, const char* from, std::size_t size) noexcept {
  const auto pieces = [&]<class N>(N) {
    const auto first = json_load<N>(from), last = json_load<N>(from + size - sizeof(N));
    std::memcpy(to, &first, sizeof(N));
    std::memcpy(to + size - sizeof(N), &last, sizeof(N));
  };
  if (size >= 8) return pieces(std::uint64_t{});
  if (size >= 4) return pieces(std::uint32_t{});
  if (size >= 2) return pieces(std::uint16_t{});
  if (size == 1) *to = *from;
}

/// Assigns without calls where the length has not changed, as that of ids and states rarely does.
MILLRACE_ALWAYS_INLINE void json_put_text(void* out, std::string_view text) {
  auto& s = *static_cast<std::string*>(out);
  if (s.size() == text.size() && text.size() <= 16) {
    json_copy_short(s.data(), text.data(), text.size());
  } else {
    s.assign(text.data(), text.size());
  }
}

inline std::int64_t json_units_per_second(json_time unit) noexcept {
  switch (unit) {
    case json_time::milliseconds: return 1'000;
    case json_time::microseconds: return 1'000'000;
    case json_time::nanoseconds: return 1'000'000'000;
    default: return 1;
  }
}

MILLRACE_ALWAYS_INLINE bool json_time_from(std::int64_t value, json_time unit,
                                           timestamp& out) noexcept {
  std::int64_t ticks = value;
  if (unit == json_time::nanoseconds) {
    ticks = floor_div(value, 1000);
  } else if (unit != json_time::microseconds) {
    const std::int64_t factor = unit == json_time::milliseconds ? 1'000 : 1'000'000;
    if (__builtin_mul_overflow(value, factor, &ticks)) return false;
  }
  out = timestamp{duration{ticks}};
  return true;
}

/// A number with a fraction or exponent as a time. A fraction is exact, and cut off towards the
/// past; with an exponent the number is a double, rounded to the tick.
inline bool json_time_from(std::string_view number, json_time unit, timestamp& out) noexcept {
  const std::int64_t per_second = json_units_per_second(unit);
  if (number.find_first_of("eE") != number.npos) {
    double value = 0;
    const char* end = number.data() + number.size();
    if (json_double_slow(number.data(), end, value) != end) return false;
    value = std::round(value * (1e6 / static_cast<double>(per_second)));
    if (!(value >= -9223372036854775808.0 && value < 9223372036854775808.0)) return false;
    out = timestamp{duration{static_cast<std::int64_t>(value)}};
    return true;
  }
  const std::size_t point = number.find('.');
  std::int64_t ticks = 0;
  const char* whole_end = number.data() + (point == number.npos ? number.size() : point);
  if (json_integer(number.data(), ticks) != whole_end) return false;
  const bool minus = number.front() == '-';
  std::int64_t digits = 1;  // what a digit behind the point is worth, in 1 / ticks of a unit
  const std::int64_t per_unit = unit == json_time::nanoseconds ? 1 : 1'000'000 / per_second;
  bool rest = false;
  std::int64_t fraction = 0;
  for (std::size_t i = point + 1; point != number.npos && i < number.size(); ++i) {
    if (digits < per_unit) {
      digits *= 10;
      fraction += (number[i] - '0') * (per_unit / digits);
    } else {
      rest = rest || number[i] != '0';
    }
  }
  if (__builtin_mul_overflow(ticks, per_unit, &ticks)) return false;
  if (__builtin_add_overflow(ticks, minus ? -fraction - rest : fraction, &ticks)) return false;
  return json_time_from(ticks, unit == json_time::nanoseconds ? unit : json_time::microseconds,
                        out);
}

/// A whole number of a unit as ticks of a duration, rounded down.
inline bool json_duration_from(std::int64_t value, json_time unit, const json_type& type,
                               std::int64_t& out) noexcept {
  __extension__ using wide = __int128;
  const wide divisor = static_cast<wide>(type.seconds) * json_units_per_second(unit);
  const wide product = static_cast<wide>(value) * type.ticks;
  const wide ticks = product / divisor - (product % divisor < 0 ? 1 : 0);
  if (ticks < INT64_MIN || ticks > INT64_MAX) return false;
  out = static_cast<std::int64_t>(ticks);
  return true;
}

/// The way back, rounded down.
inline std::int64_t json_duration_to(std::int64_t ticks, json_time unit,
                                     const json_type& type) noexcept {
  __extension__ using wide = __int128;
  const wide product = static_cast<wide>(ticks) * type.seconds * json_units_per_second(unit);
  const wide value = product / type.ticks - (product % type.ticks < 0 ? 1 : 0);
  if (value < INT64_MIN) return INT64_MIN;
  return value > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(value);
}

/// Writes a time as an exact decimal number of a unit to `out`, which holds 32 characters, and
/// returns how many. Nanoseconds are written with three zeros, as text beyond 64 bits if need be.
inline std::size_t json_write_time(char* out, timestamp t, json_time unit) noexcept {
  const std::int64_t ticks = t.time_since_epoch().count();
  const std::int64_t per_second = json_units_per_second(unit);
  const bool minus = ticks < 0;
  std::uint64_t magnitude = static_cast<std::uint64_t>(ticks);
  if (minus) magnitude = 0 - magnitude;
  char* at = out;
  if (minus) *at++ = '-';
  const bool nanoseconds = unit == json_time::nanoseconds;
  const auto per_unit = static_cast<std::uint64_t>(nanoseconds ? 1 : 1'000'000 / per_second);
  at = std::to_chars(at, out + 32, magnitude / per_unit).ptr;
  if (nanoseconds) {
    if (magnitude != 0) at = std::copy_n("000", 3, at);
  } else if (std::uint64_t rest = magnitude % per_unit; rest != 0) {
    *at++ = '.';
    for (std::uint64_t digit = per_unit / 10; rest != 0; digit /= 10) {
      *at++ = static_cast<char>('0' + rest / digit);
      rest %= digit;
    }
  }
  return static_cast<std::size_t>(at - out);
}

inline const json_enumerator* json_enumerator_named(const json_type& type,
                                                    std::string_view name) noexcept {
  for (const json_enumerator& e : type.enumerators) {
    if (e.name == name) return &e;
  }
  return nullptr;
}

inline const json_enumerator* json_enumerator_of(const json_type& type,
                                                 std::int64_t value) noexcept {
  for (const json_enumerator& e : type.enumerators) {
    if (e.value == value) return &e;
  }
  return nullptr;
}

/// Stores the value of an enumerator in the enumeration's own width.
inline void json_put_enumerator(void* out, const json_type& type, std::int64_t value) noexcept {
  if (type.number == json_kind::uint64) {
    json_put(out, value);
  } else {
    json_put_integer(out, type.number, value);
  }
}

/// Gives a field that is absent its value; false when it is required.
inline bool json_set_absent(const json_field_plan& field, void* object) {
  if (field.value.kind == json_kind::optional) {
    field.value.type->container.reset(static_cast<char*>(object) + field.offset);
    return true;
  }
  if (field.value.kind != json_kind::defaulted) return false;
  field.member->set_default(object);
  return true;
}

/// Erases what an earlier document left in a map: all but the entries noted behind `first`.
inline void json_retain(const json_container& container, void* map, std::vector<const void*>& kept,
                        std::size_t first) {
  const auto begin = kept.begin() + static_cast<std::ptrdiff_t>(first);
  std::sort(begin, kept.end());
  const auto distinct = static_cast<std::size_t>(std::unique(begin, kept.end()) - begin);
  if (container.size(map) != distinct) container.retain(map, {kept.data() + first, distinct});
  kept.resize(first);
}

}  // namespace millrace::detail
