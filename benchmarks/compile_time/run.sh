#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Processor time and memory to compile the smallest pipeline, the numbered examples and the
# bike-station demo (-O2, one file at a time), as rows of the benchmarks' table. Times count as
# multiples of that of plain.cpp, so that the budgets in budget.txt hold on any machine.
#
#   benchmarks/compile_time/run.sh COMMAND [--new-budget]     COMMAND: the program bench_command
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../.ci/setup.sh"
[ $# -ge 1 ] || die "usage: compile_time/run.sh COMMAND [--new-budget]"
command=$1
here=$MILLRACE_ROOT/benchmarks/compile_time
budget=$here/budget.txt
setup_boost
flags=(-std=c++20 -O2 -I "$MILLRACE_ROOT/include" -I "$MILLRACE_ROOT/benchmarks")
[ "$MILLRACE_BOOST_INCLUDE_DIR" = /usr/include ] || flags+=(-isystem "$MILLRACE_BOOST_INCLUDE_DIR")

# compile FILE...: "seconds MiB": the sum of the times, the greatest memory; the better of two runs
# (MILLRACE_COMPILE_RUNS).
compile() {
  local file run best=
  for run in $(seq "${MILLRACE_COMPILE_RUNS:-2}"); do
    best+=$(for file in "$@"; do
      "$command" "${CXX:-g++}" "${flags[@]}" -I "$(dirname "$file")" -c "$file" -o /dev/null
    done | awk '{ s += $1; if ($2 > m) m = $2 } END { print s, m }')$'\n'
  done
  printf '%s' "$best" | sort -n | head -n 1
}

read -r plain plain_memory < <(compile "$here/plain.cpp")
printf 'plain %s %s\n' "$plain" "$plain_memory" >&2
new=
# measure NAME TARGET FILE...: a row for the time, one for the memory.
measure() {
  local name=$1 target=$2 seconds memory times limit most
  shift 2
  read -r seconds memory < <(compile "$@")
  times=$(awk "BEGIN { printf \"%.2f\", $seconds / $plain }")
  read -r limit most < <(awk -v n="$name" '$1 == n { print $2, $3 }' "$budget" 2>/dev/null) ||
    { limit=nan most=nan; }
  new+="$name $(awk "BEGIN { printf \"%.1f %d\", 1.15 * $times, 1.1 * $memory }")"$'\n'
  if [ "$target" != - ]; then
    printf 'compile_%s\tCPU s\t%s\tplain file\t%s\t%s\tnan\tnan\t%s\t<=\t4\t-\n' \
      "$name" "$seconds" "$plain" "$times" "$target"
  fi
  local wants='<='
  [ "$limit" != nan ] || wants=-  # no budget yet
  printf 'compile_%s\tCPU s\t%s\tplain file\t%s\t%s\tnan\tnan\tbudget\t%s\t%s\t-\n' \
    "$name" "$seconds" "$plain" "$times" "$wants" "$limit"
  printf 'compile_%s\tMiB\t%s\t-\tnan\tnan\tnan\tnan\tbudget\t%s\t%s\t-\n' \
    "$name" "$memory" "$wants" "$most"
}

measure smallest 15 "$here/smallest.cpp"
for example in "$MILLRACE_ROOT"/examples/[0-9]*.cpp; do
  measure "$(basename "$example" .cpp)" - "$example"
done
measure bike_stations - "$MILLRACE_ROOT"/examples/bike_stations/*.cpp
if [ "${2:-}" = --new-budget ]; then
  { printf '# Name, time as a multiple of that of plain.cpp, MiB; 15 and 10 %% above what was measured.\n'
    printf '%s' "$new"; } >"$budget"
fi
