// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/crc32c.hpp>
#include <millrace/runtime/checkpoint_directory.hpp>

#include <algorithm>
#include <cstdlib>
#include <system_error>

namespace millrace {

namespace detail {

/// The coordinator's number of a checkpoint. The store has its own, which also avoids those of
/// broken ones.
inline constexpr const char* checkpoint_number_property = "checkpoint";

/// The part of an operator's instance in an earlier checkpoint, if its state is `bytes`.
inline const checkpoint_part* same_state(const checkpoint_store& store,
                                         const std::optional<checkpoint_manifest>& last,
                                         const operator_state& state) {
  if (!last) return nullptr;
  const auto part = std::find_if(last->parts.begin(), last->parts.end(), [&](const auto& p) {
    return p.operator_name == state.name && p.instance == state.instance;
  });
  if (part == last->parts.end() || part->first_group != state.groups.first ||
      part->end_group != state.groups.end || part->chunks.size() != 1)
    return nullptr;
  const auto& chunk = part->chunks.front();
  if (chunk.length != state.bytes.size() || chunk.checksum != crc32c(state.bytes)) return nullptr;
  const auto before = store.read(chunk);  // checksums of different states may be the same
  return before && *before == state.bytes ? &*part : nullptr;
}

}  // namespace detail

MILLRACE_DECL checkpoint_directory::checkpoint_directory(checkpoint_store_options options) {
  options.place = job_place::caller;
  store_ = checkpoint_store::open(std::move(options)).value();
}

MILLRACE_DECL checkpoint_directory::~checkpoint_directory() = default;

MILLRACE_DECL void checkpoint_directory::store(const checkpoint& what) {
  const auto writer = store_->begin(
      {.pipeline = what.pipeline,
       .time = what.taken,
       .parallelism = what.workers,
       .max_parallelism = what.max_parallelism,
       .properties = {{detail::checkpoint_number_property, std::to_string(what.id)}}});
  for (const auto& state : what.states) {
    const auto* same = detail::same_state(*store_, last_, state);
    checkpoint_part part{.operator_name = state.name,
                         .type = state.type,
                         .instance = state.instance,
                         .first_group = state.groups.first,
                         .end_group = state.groups.end};
    if (same != nullptr) part.chunks = same->chunks;
    writer->add(std::move(part), same != nullptr ? std::string{} : state.bytes).value();
  }
  last_ = writer->finish_and_wait().value();
}

MILLRACE_DECL std::optional<checkpoint> checkpoint_directory::newest() {
  auto choice = store_->latest_complete().value();
  refused_.clear();
  if (!choice) return std::nullopt;
  refused_ = std::move(choice->refused);
  last_ = std::move(choice->manifest);
  checkpoint found;
  found.id = last_->id;
  const auto number = last_->info.properties.find(detail::checkpoint_number_property);
  if (number != last_->info.properties.end()) {
    found.id = std::strtoull(number->second.c_str(), nullptr, 10);
  }
  found.taken = last_->info.time;
  found.pipeline = last_->info.pipeline;
  found.workers = last_->info.parallelism;
  found.max_parallelism = last_->info.max_parallelism;
  for (const auto& part : last_->parts) {
    operator_state state{
        part.operator_name, part.instance, {}, {part.first_group, part.end_group}, part.type};
    for (const auto& chunk : part.chunks) state.bytes += store_->read(chunk).value();
    found.states.push_back(std::move(state));
  }
  return found;
}

MILLRACE_DECL void checkpoint_directory::save_newest(const std::string& directory) {
  const auto choice = store_->latest_complete().value();
  if (!choice) {
    throw std::system_error(make_error_code(errc::unavailable),
                            "there is no checkpoint to be saved in '" + directory + "'");
  }
  store_->save_and_wait(choice->manifest, directory).value();
}

}  // namespace millrace
