// SPDX-License-Identifier: Apache-2.0
// A result that nobody looks at hides an error.
// expect: ignoring return
// within: 4
#include <millrace/base/result.hpp>

millrace::result<int> parse();

void wrong() { parse(); }
