#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Flink 1.20 (Maven Central) against ours: keyed sliding windows of 10 s by 1 s, 10,000 keys. One
# JVM with 2 GB of heap, parallelism 1, object reuse on, state on the heap, no checkpoints; two full
# runs warm up, five count. Ours runs once before each of them is looked at, in a process of its
# own. Prints rows of the benchmarks' table.
#
#   benchmarks/peers/flink.sh BUILD_FOLDER
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../.ci/setup.sh"
[ $# = 1 ] || die "usage: peers/flink.sh BUILD_FOLDER"
passes=${MILLRACE_FLINK_PASSES:-30} repetitions=5
have_tool java && have_tool mvn || {
  say "Flink needs java and mvn (Debian: default-jdk-headless, maven): left out"
  exit 0
}
work=$1/flink
mkdir -p "$work"
cp -r "$MILLRACE_ROOT/benchmarks/peers/flink/." "$work"
(cd "$work" && mvn -q -B compile dependency:copy-dependencies -DoutputDirectory=target/lib \
  >"$work/maven.log" 2>&1) || { say "Flink could not be built (see $work/maven.log): left out"; exit 0; }
opens=()
for package in java.lang java.util java.time; do
  opens+=(--add-opens "java.base/$package=ALL-UNNAMED")
done
say "running Flink: $((passes * 65536)) events, $((repetitions + 2)) times"
timeout 1200 java -Xmx2g "${opens[@]}" -cp "$work/target/classes:$work/target/lib/*" Windows \
  "$passes" "$repetitions" >"$work/its.txt"
: >"$work/ours.txt"
for _ in $(seq 0 $repetitions); do
  "$1/benchmarks/millrace_benchmarks" once window_disorder in_order "$passes" >>"$work/ours.txt"
done
sed -i 1d "$work/ours.txt"
paste -d ' ' "$work/ours.txt" "$work/its.txt" | awk '
  $1 != $5 || $2 != $6 { print "Flink and ours: different results" >"/dev/stderr"; exit 1 }
  { ours_cpu[NR] = $3 / $1; its_cpu[NR] = $7 / $1; ours_wall[NR] = $4 / $1; its_wall[NR] = $8 / $1 }
  function median(a, n,    i, j, t) {
    for (i = 2; i <= n; ++i) for (j = i; j > 1 && a[j] < a[j - 1]; --j) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
    return a[int((n + 1) / 2)]
  }
  function line(what, ours, its,    i, r) {
    for (i = 1; i <= NR; ++i) r[i] = ours[i] / its[i]
    m = median(r, NR)
    printf "peer_window\t%s\t%.3f\tFlink 1.20\t%.3f\t%.5f\t%.5f\t%.5f\t-\t-\tnan\t10,000 keys, 10 s by 1 s\n",
      what, median(ours, NR), median(its, NR), m, r[1], r[NR]
  }
  END { line("CPU ns/event", ours_cpu, its_cpu); line("wall ns/event", ours_wall, its_wall) }'
