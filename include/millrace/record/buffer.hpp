// SPDX-License-Identifier: Apache-2.0
/// \file
/// Reference-counted blocks of received bytes. Records point into the block they arrived in, so
/// that a payload is parsed in place; the block lives until its last record is gone. Counting is
/// atomic: records may be dropped on another thread than the one that received them.
#pragma once

#include <millrace/base/config.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace millrace {

/// A handle to a block of bytes; copying shares the block. `padding` bytes after the capacity are
/// readable (and zero), as SIMD parsers want. Distinct handles may be used from distinct threads.
class shared_buffer {
 public:
  static constexpr std::size_t padding = 64;

  shared_buffer() = default;

  /// A block of `capacity` writable bytes. One allocation. \throws std::bad_alloc
  static shared_buffer allocate(std::size_t capacity) {
    void* memory = ::operator new(sizeof(header) + capacity + padding);
    auto* block = new (memory) header{{1}, capacity};
    std::memset(block->bytes() + capacity, 0, padding);
    return shared_buffer{block};
  }

  /// A block that holds a copy of `text`.
  static shared_buffer copy_of(std::string_view text) {
    shared_buffer b = allocate(text.size());
    if (!text.empty()) std::memcpy(b.data(), text.data(), text.size());
    return b;
  }

  shared_buffer(const shared_buffer& other) noexcept : block_(other.block_) { add_references(1); }
  shared_buffer(shared_buffer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  shared_buffer& operator=(shared_buffer other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~shared_buffer() {
    if (block_ != nullptr) release();
  }

  explicit operator bool() const noexcept { return block_ != nullptr; }
  char* data() const noexcept { return block_->bytes(); }
  std::size_t capacity() const noexcept { return block_ == nullptr ? 0 : block_->capacity; }

  /// Whether this is the only handle: the block may be overwritten.
  bool unique() const noexcept {
    return block_ != nullptr && block_->references.load(std::memory_order_acquire) == 1;
  }

  /// Takes `n` references at once, to be adopted by `n` records: one atomic operation per batch.
  void add_references(std::size_t n) const noexcept {
    if (block_ != nullptr) block_->references.fetch_add(n, std::memory_order_relaxed);
  }

  /// A handle that owns one of the references taken by `add_references`.
  shared_buffer adopt() const noexcept { return shared_buffer{block_}; }

  /// Gives back `n` references that were taken and not adopted. \pre this handle remains.
  void drop_references(std::size_t n) const noexcept {
    if (block_ != nullptr) block_->references.fetch_sub(n, std::memory_order_release);
  }

 private:
  struct header {
    std::atomic<std::size_t> references;
    std::size_t capacity;
    char* bytes() noexcept { return reinterpret_cast<char*>(this + 1); }
  };

  explicit shared_buffer(header* block) noexcept : block_(block) {}

  void release() noexcept {
    if (block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      block_->~header();
      ::operator delete(block_);
    }
  }

  header* block_ = nullptr;
};

}  // namespace millrace
