#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes include/millrace/src.hpp anew, after an .ipp was added, moved or removed.
set -eu
cd "$(dirname "$0")/../include"
{
  cat <<'TEXT'
// SPDX-License-Identifier: Apache-2.0
/// \file
/// All compiled parts of the library, for projects that do not build it with CMake: include this
/// file in exactly one source file of the program, and link simdjson, fmt and OpenSSL. Optional
/// components come along when their macro is defined. Written by .ci/update-src.sh.
#pragma once

#if defined(MILLRACE_HEADER_ONLY)
#error "with MILLRACE_HEADER_ONLY every header brings its own parts along: drop millrace/src.hpp"
#endif

TEXT
  find millrace -name '*.ipp' | LC_ALL=C sort | sed -E -e 's/.*/#include <&>/' \
    -e 's|.*<millrace/connectors/(sqlite\|postgresql)/.*|#if defined(MILLRACE_WITH_\U\1\E)\n&\n#endif|'
} >millrace/src.hpp.new
mv millrace/src.hpp.new millrace/src.hpp
