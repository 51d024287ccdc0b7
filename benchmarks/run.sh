#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the benchmarks and runs them against their floors; installs first what a bare Debian or
# Ubuntu lacks. Prints times, instructions per event, and the targets of docs/performance.md.
#
#   benchmarks/run.sh [NAME...] [--json FILE] [--quick] [--repetitions N] [--no-counts]
#                     [--new-baseline]
#
# --quick: instruction counts only; fails if one is more than 3 % above benchmarks/baseline.json.
# --new-baseline: writes that file. --no-counts: times only. Times never make it fail.
# MILLRACE_BUILD_DIR: where to build (default: build/bench). MILLRACE_JOBS: compilers at a time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../.ci/setup.sh"

names=() options=() quick=no counting=yes new_baseline=no
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      sed -n '3,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --quick) quick=yes ;;
    --no-counts) counting=no ;;
    --new-baseline) new_baseline=yes ;;
    --json | --repetitions)
      [ $# -ge 2 ] || die "$1 needs a value"
      options+=("$1" "$2")
      shift
      ;;
    -*) die "unknown option '$1'; see benchmarks/run.sh --help" ;;
    *) names+=("$1") ;;
  esac
  shift
done

setup
folder=${MILLRACE_BUILD_DIR:-$MILLRACE_ROOT/build/bench}
arch=
if grep -qw avx2 /proc/cpuinfo 2>/dev/null && grep -qw bmi2 /proc/cpuinfo; then
  arch=haswell  # what callgrind can run, and the baseline was counted with
fi
configure_and_build "$folder" millrace_benchmarks -D CMAKE_BUILD_TYPE=Release \
  -D CMAKE_CXX_FLAGS_RELEASE="-O3 -DNDEBUG -g1" -D MILLRACE_BENCHMARK_ARCH="$arch" \
  -D MILLRACE_BUILD_TESTS=OFF -D MILLRACE_BUILD_EXAMPLES=OFF -D MILLRACE_BUILD_BENCHMARKS=ON
program=$folder/benchmarks/millrace_benchmarks

if [ $counting = yes ] && ! have_tool valgrind; then
  if [ $quick = yes ]; then
    install_packages valgrind
  else
    say "valgrind is not installed: no instruction counts (Debian's package: valgrind)"
    counting=no
  fi
fi

# instructions NAME CONTESTANT PASSES: "instructions events" of one run.
instructions() {
  local log=$folder/callgrind.log events
  events=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file="$log" \
    "$program" count "$1" "$2" "$3") || { cat "$log" >&2; die "callgrind failed on $1"; }
  printf '%s %s\n' "$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log")" "$events"
}

counts=$folder/counts.txt
: >"$counts"
if [ $counting = yes ]; then
  if [ -z "$arch" ]; then
    say "this processor lacks AVX2: instruction counts are not comparable with the baseline"
  fi
  while read -r name few many; do
    [ "$many" != 0 ] || continue
    if [ ${#names[@]} -gt 0 ] && ! printf '%s\n' "${names[@]}" | grep -qx "$name"; then continue; fi
    say "counting instructions of $name"
    for contestant in ours floor; do
      [ $quick = no ] || [ $contestant = ours ] || continue
      printf '%s %s %s %s %s\n' "$name" "$contestant" "$(instructions "$name" $contestant "$few")" \
        "$(instructions "$name" $contestant "$many")" |
        awk '{ printf "%s %s %.3f\n", $1, $2, ($5 - $3) / ($6 - $4) }' >>"$counts"
    done
  done < <("$program" list)
fi

baseline=$MILLRACE_ROOT/benchmarks/baseline.json
if [ $new_baseline = yes ]; then options+=(--new-baseline "$baseline"); fi
if [ $quick = yes ]; then options+=(--no-times --baseline "$baseline"); fi
exec "$program" run --counts "$counts" "${options[@]}" "${names[@]}"
