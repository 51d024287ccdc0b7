// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the JSON codec has to know about a type, as a constant table without templates. The code
/// that reads and writes JSON is driven by such tables and therefore compiled only once;
/// codec/detail/json_table.hpp makes them. Immutable.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/codec/json_options.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace millrace::detail {

enum class json_kind : std::uint8_t {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float32,
  float64,
  text,       // std::string
  text_view,  // std::string_view: written only
  timestamp,
  duration,  // a number in the unit of a rule; without one, a duration is a plain number
  enumeration,
  object,
  optional,
  defaulted,  // in plans only: a member with a default, which null stands for, too
  sequence,   // std::vector
  array,      // std::array
  map,        // from std::string
  dynamic,    // dynamic_record
  ignored,    // in plans only: a member that nobody wants
};

struct json_type;

struct json_enumerator {
  std::string_view name;
  std::int64_t value;  // of an unsigned 64-bit enumeration: the same bits
};

/// A member of an object.
struct json_member {
  std::string_view name;  // in JSON
  const json_type* type;
  void* (*locate)(void* object);
  void (*set_default)(void* object);  // null where there is none
  json_presence presence;
  json_time time;
  bool ignored;
};

/// Receives the entries of a map.
class json_map_visitor {
 public:
  virtual void entry(std::string_view key, const void* value) = 0;

 protected:
  ~json_map_visitor() = default;
};

/// Functions of containers; each kind has its own subset.
struct json_container {
  void* (*engage)(void* optional) = nullptr;  // the value, made if there was none
  void (*reset)(void* optional) = nullptr;
  const void* (*peek)(const void* optional) = nullptr;  // the value or null
  std::size_t (*size)(const void* container) = nullptr;
  void* (*at)(void* sequence, std::size_t i) = nullptr;  // appended when i == size
  void (*truncate)(void* sequence, std::size_t size) = nullptr;
  void* (*find)(void* map, const std::string& key) = nullptr;  // made if there was none
  /// Erases all entries whose values' addresses do not stand in the sorted list.
  void (*retain)(void* map, std::span<const void* const> kept) = nullptr;
  void (*visit)(const void* map, json_map_visitor& visitor) = nullptr;
};

struct json_type {
  json_kind kind;
  json_kind number = json_kind::int64;  // how an enumeration or a duration is stored
  std::size_t size = 0;
  std::size_t alignment = 1;
  const json_type* element = nullptr;  // of an optional, a container, a map
  std::size_t extent = 0;              // elements of an array
  std::int64_t ticks = 1;              // of a duration: `ticks` of them last `seconds`
  std::int64_t seconds = 1;
  std::span<const json_member> members = {};
  std::span<const json_enumerator> enumerators = {};
  json_container container = {};
};

}  // namespace millrace::detail
