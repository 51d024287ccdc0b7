// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the plan says of windows, waits and limits: short texts. Pure functions.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>
#include <millrace/operators/async.hpp>
#include <millrace/state/serialize.hpp>
#include <millrace/state/type_description.hpp>
#include <millrace/windows/assigners.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

using plan_properties = std::vector<std::pair<std::string, std::string>>;

/// In the largest unit that loses nothing: "10s", "1500ms", "90s", "2h".
MILLRACE_DECL std::string plan_text(duration time);

/// "10s by 1s", "session, gap 30s", "100 records by 10", "global".
MILLRACE_DECL std::string plan_text(const sliding& windows);
MILLRACE_DECL std::string plan_text(const session& windows);
MILLRACE_DECL std::string plan_text(const count_window& windows);
MILLRACE_DECL std::string plan_text(const global& windows);

/// How values of that type are stored, or its name where they are not.
template <class T>
std::string type_words() {
  if constexpr (serializable<T>) {
    return type_description<T>();
  } else {
    return std::string(short_type_name<T>());
  }
}

/// Limit, order, timeout and attempts of calls.
MILLRACE_DECL plan_properties plan_properties_of(const async_options& options, bool lanes);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/dsl/impl/plan_words.ipp>
#endif
