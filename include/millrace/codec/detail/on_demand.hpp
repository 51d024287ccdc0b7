// SPDX-License-Identifier: Apache-2.0
/// \file
/// Differences between versions of simdjson's On-Demand interface. Does not include simdjson.
#pragma once

namespace millrace::detail {

/// The unescaped name of a field. Some versions (3.6) want to be told that invalid escapes are not
/// to be replaced, earlier ones cannot be told.
template <class Field>
auto unescaped_key(Field& field) {
  if constexpr (requires { field.unescaped_key(false); }) {
    return field.unescaped_key(false);
  } else {
    return field.unescaped_key();
  }
}

}  // namespace millrace::detail
