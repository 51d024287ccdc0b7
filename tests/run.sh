#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the tests; installs first what a bare Debian or Ubuntu lacks.
#
#   tests/run.sh [-- LABEL | CTEST ARGUMENT...]    e.g.  tests/run.sh -- unit
#                                                        tests/run.sh -- -R mqtt -V
#
# Labels: unit, simulation, semantics, integration, example, tidy, headers, odr, compile_fail,
# consume; and the layers. MILLRACE_CASES=N runs N times as many random cases of semantics.
# The last lines list what was skipped and why, and count test cases.
# MILLRACE_BUILD_DIR: where to build (default: build/tests). MILLRACE_JOBS: compilers at a time.
# MILLRACE_CMAKE_ARGUMENTS: further arguments for cmake.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../.ci/setup.sh"

case ${1:-} in
  -h | --help)
    sed -n '4,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  --) shift ;;
  '') ;;
  *) die "unknown argument '$1'; a label, or ctest's own arguments, stand behind --" ;;
esac
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
  label=$1
  shift
  set -- -L "^$label\$" "$@"
fi

packages=()
have_library catch2 catch2/catch.hpp catch2/catch_all.hpp || packages+=(catch2)
have_tool pkg-config || packages+=(pkg-config)
setup "${packages[@]}"

folder=${MILLRACE_BUILD_DIR:-$MILLRACE_ROOT/build/tests}
# shellcheck disable=SC2086  # several arguments in one variable
configure_and_build "$folder" all -D CMAKE_BUILD_TYPE=Debug -D CMAKE_CXX_FLAGS_DEBUG="-O1 -g1" \
  -D MILLRACE_BUILD_TESTS=ON -D MILLRACE_BUILD_EXAMPLES=ON ${MILLRACE_CMAKE_ARGUMENTS:-}

say "running the tests"
log=$folder/Testing/Temporary/LastTest.log
rm -f "$log"
status=0
ctest --test-dir "$folder" --output-on-failure --no-tests=error -j "$(nproc)" "$@" </dev/null ||
  status=$?
"$MILLRACE_ROOT/.ci/summary" "$log" || status=1
exit "$status"
