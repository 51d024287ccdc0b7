// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a checkpoint consists of, and its description on disk (docs/formats/checkpoint.md), without
/// any I/O. Values; functions are reentrant.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>
#include <millrace/base/time.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

inline constexpr std::uint32_t checkpoint_format_version = 1;

/// Bytes in the data file of a checkpoint: this one's or an earlier one's.
struct state_chunk {
  std::uint64_t checkpoint = 0;  ///< whose data file holds them
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint32_t checksum = 0;  ///< CRC-32C of the bytes

  friend bool operator==(const state_chunk&, const state_chunk&) = default;
};

/// The state of one instance of an operator, or of a range of its key groups.
struct checkpoint_part {
  std::string operator_name{};
  std::string slot{};  ///< which of the operator's states: "" if it has one
  std::string type{};  ///< `type_description` of what is stored, for the comparison on restore
  std::uint32_t instance = 0;
  std::uint32_t first_group = 0;  ///< key groups [first_group, end_group); both 0 without keys
  std::uint32_t end_group = 0;
  /// Oldest first: a full snapshot, and what has changed since, to be applied in this order.
  std::vector<state_chunk> chunks{};

  std::uint64_t bytes() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& c : chunks) sum += c.length;
    return sum;
  }

  /// "operator 'stats', instance 1, key groups 64 to 127".
  MILLRACE_DECL std::string to_string() const;

  friend bool operator==(const checkpoint_part&, const checkpoint_part&) = default;
};

enum class checkpoint_kind : std::uint8_t {
  checkpoint = 0,
  savepoint = 1,  ///< refers to no other file, and is never removed
};

/// What a coordinator knows before any state has arrived.
struct checkpoint_info {
  std::string pipeline{};
  timestamp time{};
  std::uint32_t parallelism = 1;
  std::uint32_t max_parallelism = 128;
  std::map<std::string, std::string> properties{};  ///< anything else, not interpreted
};

struct checkpoint_manifest {
  std::uint64_t id = 0;
  checkpoint_kind kind = checkpoint_kind::checkpoint;
  checkpoint_info info{};
  std::vector<checkpoint_part> parts{};  ///< sorted by operator, slot, group, instance

  std::uint64_t bytes() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& p : parts) sum += p.bytes();
    return sum;
  }

  /// Puts the parts in order. `errc::malformed` when two of them are the same, or when a part
  /// contradicts itself (key groups beyond `max_parallelism`, chunks of later checkpoints).
  MILLRACE_DECL result<void> normalize();
};

/// The whole file. \pre `normalize()` was good
MILLRACE_DECL std::string encode(const checkpoint_manifest& manifest);

/// `errc::corrupt`, or `errc::incompatible` when a later version wrote it. Trusts nothing; memory
/// is at most a small multiple of the input.
MILLRACE_DECL result<checkpoint_manifest> decode_manifest(std::string_view bytes);

/// The names of a checkpoint's files: "00000000000000000017.manifest", ".data".
MILLRACE_DECL std::string manifest_name(std::uint64_t id);
MILLRACE_DECL std::string checkpoint_data_name(std::uint64_t id);

enum class checkpoint_file : std::uint8_t { manifest, data, temporary, other };
struct checkpoint_file_name {
  checkpoint_file what = checkpoint_file::other;
  std::uint64_t id = 0;
};
MILLRACE_DECL checkpoint_file_name parse_checkpoint_file_name(std::string_view name) noexcept;

/// The first bytes of a data file.
inline constexpr std::size_t checkpoint_data_header_bytes = 32;
MILLRACE_DECL std::string encode_data_header(std::uint64_t id);
MILLRACE_DECL result<void> check_data_header(std::string_view bytes, std::uint64_t id);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/state/impl/checkpoint_manifest.ipp>
#endif
