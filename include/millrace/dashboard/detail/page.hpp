// SPDX-License-Identifier: Apache-2.0
/// \file
/// The files of the page, compiled into the program. They load nothing from elsewhere.
#pragma once

#include <millrace/base/config.hpp>

#include <string>

namespace millrace::detail {

MILLRACE_DECL std::string page_html();
MILLRACE_DECL std::string page_style();
MILLRACE_DECL std::string page_script();

}  // namespace millrace::detail
