// SPDX-License-Identifier: Apache-2.0
/// \file
/// Counts system calls of I/O and allocations by taking the place of the C library's functions and
/// of operator new. To be included by exactly one source file of a program, which links the C
/// library dynamically. Counters may be read on any thread.
#pragma once

#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace bench {

struct system_call_counts {
  std::atomic<std::uint64_t> receives{0};
  std::atomic<std::uint64_t> sends{0};
  std::atomic<std::uint64_t> waits{0};  ///< epoll_wait
};
inline system_call_counts system_calls;

/// Of this thread.
inline thread_local std::uint64_t allocations = 0;

namespace detail {
template <class F>
F* next(const char* name) noexcept {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}
inline void count(std::atomic<std::uint64_t>& which) noexcept {
  which.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace detail
}  // namespace bench

extern "C" {

inline __attribute__((used)) ssize_t recv(int fd, void* to, size_t size, int flags) {
  static auto* const real = bench::detail::next<ssize_t(int, void*, size_t, int)>("recv");
  bench::detail::count(bench::system_calls.receives);
  return real(fd, to, size, flags);
}
inline __attribute__((used)) ssize_t recvmsg(int fd, msghdr* message, int flags) {
  static auto* const real = bench::detail::next<ssize_t(int, msghdr*, int)>("recvmsg");
  bench::detail::count(bench::system_calls.receives);
  return real(fd, message, flags);
}
inline __attribute__((used)) ssize_t send(int fd, const void* from, size_t size, int flags) {
  static auto* const real = bench::detail::next<ssize_t(int, const void*, size_t, int)>("send");
  bench::detail::count(bench::system_calls.sends);
  return real(fd, from, size, flags);
}
inline __attribute__((used)) ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  static auto* const real = bench::detail::next<ssize_t(int, const msghdr*, int)>("sendmsg");
  bench::detail::count(bench::system_calls.sends);
  return real(fd, message, flags);
}
inline __attribute__((used)) int epoll_wait(int fd, epoll_event* events, int most, int timeout) {
  static auto* const real = bench::detail::next<int(int, epoll_event*, int, int)>("epoll_wait");
  bench::detail::count(bench::system_calls.waits);
  return real(fd, events, most, timeout);
}

}  // extern "C"

namespace bench::detail {
[[gnu::noinline]] inline void* allocate(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = alignment <= alignof(std::max_align_t) ? std::malloc(bytes == 0 ? 1 : bytes)
                                                        : std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace bench::detail

// Replacements must not be inline; hence one source file only.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return bench::detail::allocate(bytes, 1);
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return bench::detail::allocate(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
