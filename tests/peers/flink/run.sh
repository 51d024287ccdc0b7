#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the same random streams through the library and through Apache Flink 1.20, and prints where
# the results differ, as multisets. Needs Maven Central, a JDK and Maven; installs the latter two.
#
#   tests/peers/flink/run.sh [STREAMS [SEED]]     default: 600 streams, seed 1
#
# Exit status 0: no differences. MILLRACE_BUILD_DIR: where to build (default: build/flink).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../../.ci/setup.sh"

if [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
  sed -n '3,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit 0
fi
streams=${1:-600}
seed=${2:-1}
here=$MILLRACE_ROOT/tests/peers/flink
folder=${MILLRACE_BUILD_DIR:-$MILLRACE_ROOT/build/flink}
scripts=$folder/scripts

packages=()
have_library catch2 catch2/catch.hpp catch2/catch_all.hpp || packages+=(catch2)
have_tool javac || packages+=(default-jdk-headless)
have_tool mvn || packages+=(maven)
setup "${packages[@]}"

configure_and_build "$folder" flink_peer -D CMAKE_BUILD_TYPE=Release -D MILLRACE_BUILD_TESTS=ON \
  -D MILLRACE_BUILD_EXAMPLES=OFF
program=$(find "$folder" -name flink_peer -type f -perm -u+x | head -n 1)

say "building Flink's side with Maven"
mkdir -p "$folder/java"
cp -r "$here/pom.xml" "$here/src" "$folder/java/"
mvn -q -B -f "$folder/java/pom.xml" package dependency:copy-dependencies -DincludeScope=runtime ||
  die "Maven could not build Flink's side (is Maven Central within reach?)"

rm -rf "$scripts"
"$program" generate "$scripts" "$streams" "$seed"
say "running $streams streams through the library"
"$program" run "$scripts"
say "running them through Flink"
java --add-opens java.base/java.util=ALL-UNNAMED --add-opens java.base/java.lang=ALL-UNNAMED \
  -cp "$folder/java/target/classes:$folder/java/target/dependency/*" peer.Peer "$scripts"

different=0
for script in "$scripts"/*.script; do
  base=${script%.script}
  LC_ALL=C sort -o "$base.flink" "$base.flink"
  LC_ALL=C sort -o "$base.millrace" "$base.millrace"
  if ! diff -u --label flink --label millrace "$base.flink" "$base.millrace" >"$base.diff"; then
    different=$((different + 1))
    printf '%s\n' "-- $script"
    head -n 20 "$base.diff"
  fi
done
results=$(cat "$scripts"/*.flink | wc -l)
say "$streams streams, $results results of Flink, $different streams with differences"
[ "$different" = 0 ]
