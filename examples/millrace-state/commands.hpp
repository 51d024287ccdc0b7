// SPDX-License-Identifier: Apache-2.0
/// \file
/// What millrace-state can do, without its `main`: looks at directories of checkpoints and of
/// journals, and changes nothing.
#pragma once

#include <string>
#include <vector>

namespace state_tool {

struct outcome {
  int status = 0;  ///< 0: all is well; 1: something is damaged or differs; 2: wrong usage
  std::string text{};
};

extern const char* const usage;

outcome run(const std::vector<std::string>& arguments);

}  // namespace state_tool
