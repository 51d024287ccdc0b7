// SPDX-License-Identifier: Apache-2.0
/// \file
/// Build configuration: how compiled parts are declared, and the assertion for programming errors.
/// The only file that defines macros.
#pragma once

/// With `MILLRACE_HEADER_ONLY` every `impl/*.ipp` is included by its header and its functions are
/// inline; otherwise they are compiled once (the CMake target `millrace::millrace`, or `src.hpp`).
#if defined(MILLRACE_HEADER_ONLY)
#define MILLRACE_DECL inline
#else
#define MILLRACE_DECL
#endif

#if defined(__GNUC__) || defined(__clang__)
#define MILLRACE_LIKELY(x) __builtin_expect(!!(x), 1)
#define MILLRACE_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define MILLRACE_NOINLINE __attribute__((noinline))
#define MILLRACE_ALWAYS_INLINE inline __attribute__((always_inline))
#define MILLRACE_PREFETCH(p) __builtin_prefetch(p)
#else
#define MILLRACE_LIKELY(x) (!!(x))
#define MILLRACE_UNLIKELY(x) (!!(x))
#define MILLRACE_NOINLINE
#define MILLRACE_ALWAYS_INLINE inline
#define MILLRACE_PREFETCH(p) static_cast<void>(p)
#endif

/// Checks what only a wrong program can break. Define it before the first include to install a
/// handler of your own; by default it is `assert`, and nothing in release builds.
#if !defined(MILLRACE_ASSERT)
#include <cassert>
#define MILLRACE_ASSERT(condition) assert(condition)
#endif
