// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/crc32c.hpp>
#include <millrace/state/checkpoint_manifest.hpp>
#include <millrace/state/snapshot.hpp>

#include <algorithm>
#include <tuple>

namespace millrace {

namespace detail {

inline constexpr std::string_view manifest_magic = "MRCHKPNT";
inline constexpr std::string_view checkpoint_data_magic = "MRCHKDAT";
inline constexpr std::size_t manifest_header_bytes = 24;
inline constexpr std::size_t chunk_bytes = 28;

inline void write_part(snapshot_writer& w, const checkpoint_part& part) {
  w.text(part.operator_name);
  w.text(part.slot);
  w.text(part.type);
  w.number(part.instance);
  w.number(part.first_group);
  w.number(part.end_group);
  w.varint(part.chunks.size());
  for (const auto& c : part.chunks) {
    w.number(c.checkpoint);
    w.number(c.offset);
    w.number(c.length);
    w.number(c.checksum);
  }
}

inline void read_part(snapshot_reader& r, checkpoint_part& part) {
  part.operator_name = r.text();
  part.slot = r.text();
  part.type = r.text();
  part.instance = r.number<std::uint32_t>();
  part.first_group = r.number<std::uint32_t>();
  part.end_group = r.number<std::uint32_t>();
  part.chunks.resize(r.count(chunk_bytes));
  for (auto& c : part.chunks) {
    c.checkpoint = r.number<std::uint64_t>();
    c.offset = r.number<std::uint64_t>();
    c.length = r.number<std::uint64_t>();
    c.checksum = r.number<std::uint32_t>();
  }
}

inline void read_manifest(snapshot_reader& r, checkpoint_manifest& m) {
  m.id = r.number<std::uint64_t>();
  const auto kind = r.number<std::uint8_t>();
  if (kind > 1) r.fail("neither a checkpoint nor a savepoint");
  m.kind = static_cast<checkpoint_kind>(kind);
  m.info.time = timestamp{duration{r.number<std::int64_t>()}};
  m.info.parallelism = r.number<std::uint32_t>();
  m.info.max_parallelism = r.number<std::uint32_t>();
  m.info.pipeline = r.text();
  for (auto n = r.count(2); n > 0 && !r.failed(); --n) {
    std::string name(r.text());
    m.info.properties[std::move(name)] = r.text();
  }
  constexpr std::size_t least_part = 3 + 12 + 1;
  const auto parts = r.count(least_part);
  for (std::size_t i = 0; i < parts && !r.failed(); ++i) read_part(r, m.parts.emplace_back());
  r.expect_end();
}

inline auto order_of(const checkpoint_part& p) {
  return std::tie(p.operator_name, p.slot, p.first_group, p.end_group, p.instance);
}

inline std::string check_part(const checkpoint_part& part, const checkpoint_manifest& in) {
  if (part.first_group > part.end_group || part.end_group > in.info.max_parallelism) {
    return part.to_string() + ": key groups that do not exist";
  }
  for (const auto& c : part.chunks) {
    if (c.checkpoint > in.id) return part.to_string() + ": bytes of a later checkpoint";
    if (in.kind == checkpoint_kind::savepoint && c.checkpoint != in.id) {
      return part.to_string() + ": bytes of another file, in a savepoint";
    }
    if (c.offset < checkpoint_data_header_bytes || c.offset + c.length < c.offset) {
      return part.to_string() + ": bytes where none can be";
    }
  }
  return {};
}

inline std::string numbered(std::uint64_t id, std::string_view ending) {
  const auto digits = std::to_string(id);
  return std::string(20 - digits.size(), '0') + digits + std::string(ending);
}

}  // namespace detail

MILLRACE_DECL std::string checkpoint_part::to_string() const {
  std::string text = "operator '" + operator_name + "'";
  if (!slot.empty()) text += ", state '" + slot + "'";
  text += ", instance " + std::to_string(instance);
  if (end_group > first_group) {
    text += ", key groups " + std::to_string(first_group) + " to " + std::to_string(end_group - 1);
  }
  return text;
}

MILLRACE_DECL result<void> checkpoint_manifest::normalize() {
  std::sort(parts.begin(), parts.end(),
            [](const auto& a, const auto& b) { return detail::order_of(a) < detail::order_of(b); });
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (auto wrong = detail::check_part(parts[i], *this); !wrong.empty()) {
      return error{errc::malformed, std::move(wrong)};
    }
    if (i > 0 && detail::order_of(parts[i - 1]) == detail::order_of(parts[i])) {
      return error{errc::malformed, parts[i].to_string() + ": stored twice"};
    }
  }
  return {};
}

MILLRACE_DECL std::string encode(const checkpoint_manifest& m) {
  snapshot_writer w;
  w.raw(detail::manifest_magic.data(), detail::manifest_magic.size());
  w.number(checkpoint_format_version);
  w.number(std::uint32_t{0});
  w.number(std::uint64_t{0});  // length of what follows, without the checksum
  w.number(m.id);
  w.number(static_cast<std::uint8_t>(m.kind));
  w.number(std::int64_t{m.info.time.time_since_epoch().count()});
  w.number(m.info.parallelism);
  w.number(m.info.max_parallelism);
  w.text(m.info.pipeline);
  w.varint(m.info.properties.size());
  for (const auto& [name, value] : m.info.properties) {
    w.text(name);
    w.text(value);
  }
  w.varint(m.parts.size());
  for (const auto& part : m.parts) detail::write_part(w, part);
  w.patch(16, std::uint64_t{w.size() - detail::manifest_header_bytes});
  w.number(crc32c(w.view()));
  return w.take();
}

MILLRACE_DECL result<checkpoint_manifest> decode_manifest(std::string_view bytes) {
  const auto corrupt = [](const std::string& what) { return error{errc::corrupt, what}; };
  if (bytes.size() < detail::manifest_header_bytes + 4) return corrupt("it is cut off");
  if (bytes.substr(0, 8) != detail::manifest_magic) return corrupt("it is no manifest");
  snapshot_reader head(bytes.substr(8, 16));
  const auto version = head.number<std::uint32_t>();
  if (version > checkpoint_format_version) {
    return error{errc::incompatible, "it has format version " + std::to_string(version) +
                                         ", this program knows versions up to " +
                                         std::to_string(checkpoint_format_version)};
  }
  const auto body = bytes.size() - 4 - detail::manifest_header_bytes;
  static_cast<void>(head.number<std::uint32_t>());
  if (head.number<std::uint64_t>() != body) return corrupt("it has not its full length");
  snapshot_reader tail(bytes.substr(bytes.size() - 4));
  if (tail.number<std::uint32_t>() != crc32c(bytes.substr(0, bytes.size() - 4))) {
    return corrupt("its checksum is wrong");
  }
  checkpoint_manifest m;
  snapshot_reader r(bytes.substr(detail::manifest_header_bytes, body));
  detail::read_manifest(r, m);
  if (r.failed()) return corrupt(r.status().error().message);
  if (auto good = m.normalize(); !good) return corrupt(good.error().message);
  return m;
}

MILLRACE_DECL std::string manifest_name(std::uint64_t id) {
  return detail::numbered(id, ".manifest");
}

MILLRACE_DECL std::string checkpoint_data_name(std::uint64_t id) {
  return detail::numbered(id, ".data");
}

MILLRACE_DECL checkpoint_file_name parse_checkpoint_file_name(std::string_view name) noexcept {
  checkpoint_file_name parsed;
  if (name.size() < 20) return parsed;
  for (const char c : name.substr(0, 20)) {
    if (c < '0' || c > '9') return {};
    if (__builtin_mul_overflow(parsed.id, std::uint64_t{10}, &parsed.id)) return {};
    if (__builtin_add_overflow(parsed.id, static_cast<std::uint64_t>(c - '0'), &parsed.id)) {
      return {};
    }
  }
  const auto ending = name.substr(20);
  if (ending == ".manifest") parsed.what = checkpoint_file::manifest;
  if (ending == ".data") parsed.what = checkpoint_file::data;
  if (ending == ".manifest.tmp" || ending == ".data.tmp") {
    parsed.what = checkpoint_file::temporary;
  }
  return parsed;
}

MILLRACE_DECL std::string encode_data_header(std::uint64_t id) {
  snapshot_writer w;
  w.raw(detail::checkpoint_data_magic.data(), detail::checkpoint_data_magic.size());
  w.number(checkpoint_format_version);
  w.number(std::uint32_t{0});
  w.number(id);
  w.number(std::uint32_t{0});
  w.number(crc32c(w.view()));
  return w.take();
}

MILLRACE_DECL result<void> check_data_header(std::string_view bytes, std::uint64_t id) {
  if (bytes.substr(0, checkpoint_data_header_bytes) == encode_data_header(id)) return {};
  return error{errc::corrupt,
               "it does not begin like the data of checkpoint " + std::to_string(id)};
}

}  // namespace millrace
