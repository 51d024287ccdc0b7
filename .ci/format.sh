#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Formats all C++ files, or those named, as the test tidy.format wants them.
set -eu
if [ $# -gt 0 ]; then
  exec clang-format-16 -i "$@"
fi
cd "$(dirname "$0")/.."
find include tests examples benchmarks -name '*.[hi]pp' -o -name '*.cpp' |
  xargs clang-format-16 -i
