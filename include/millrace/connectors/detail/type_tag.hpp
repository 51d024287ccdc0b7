// SPDX-License-Identifier: Apache-2.0
/// \file
/// An identity of types without RTTI, for sinks that learn the type of their records late.
#pragma once

namespace millrace::detail {

/// Its address stands for the type.
template <class T>
inline constexpr char type_tag = 0;

}  // namespace millrace::detail
