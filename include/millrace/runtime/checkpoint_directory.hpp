// SPDX-License-Identifier: Apache-2.0
/// \file
/// Checkpoints of a pipeline in a directory: the storage for `checkpoint_to`. An operator whose
/// state is the same as in the checkpoint before is not written again. Used by one thread at a
/// time.
///
///     p.checkpoint_to(std::make_shared<checkpoint_directory>(
///         checkpoint_store_options{.directory = "state"}), {.every = 10s});
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/runtime/checkpoint.hpp>
#include <millrace/state/checkpoint_store.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

class checkpoint_directory final : public checkpoint_storage {
 public:
  /// Opens the directory or makes it. `place` of the options is not used: `store` waits.
  /// \throws topology_error for wrong options, std::system_error when it cannot be opened
  explicit checkpoint_directory(checkpoint_store_options options);
  ~checkpoint_directory() override;

  /// \throws std::system_error that says what went wrong; then there is no such checkpoint
  void store(const checkpoint& what) override;

  /// The newest one of which every byte is as it was written; see `refused`.
  /// \throws std::system_error when there are only broken ones
  std::optional<checkpoint> newest() override;

  std::vector<metric_group::reading> metrics() const override { return store_->metrics().read(); }

  /// Why `newest` did not return a newer one, in words; empty when it was the newest.
  const std::vector<std::string>& refused() const noexcept { return refused_; }

  /// Copies the newest into a directory of its own, where it is never removed and from where a
  /// pipeline can be restored. \throws std::system_error
  void save_newest(const std::string& directory) override;

  checkpoint_store& files() noexcept { return *store_; }

 private:
  std::unique_ptr<checkpoint_store> store_;
  std::optional<checkpoint_manifest> last_;
  std::vector<std::string> refused_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/runtime/impl/checkpoint_directory.ipp>
#endif
