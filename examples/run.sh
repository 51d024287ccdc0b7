#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the bike-station demo; installs first what a bare Debian or Ubuntu lacks.
#
#   examples/run.sh [-- ARGUMENT...]        e.g.  examples/run.sh -- --duration 20s --output out
#
# MILLRACE_BUILD_DIR: where to build (default: build/release). MILLRACE_JOBS: compilers at a time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../.ci/setup.sh"

case ${1:-} in
  -h | --help)
    sed -n '4,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  --) shift ;;
  '') ;;
  *) die "unknown argument '$1'; the demo's own arguments stand behind --" ;;
esac

setup
folder=${MILLRACE_BUILD_DIR:-$MILLRACE_ROOT/build/release}
configure_and_build "$folder" bike_stations \
  -D CMAKE_BUILD_TYPE=Release -D MILLRACE_BUILD_TESTS=OFF -D MILLRACE_BUILD_EXAMPLES=ON
say "running $folder/examples/bike_stations $*"
exec "$folder/examples/bike_stations" "$@"
