#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the benchmarks, runs them against floors and peers, and prints one table: name, ours, floor
# or peer, ratio (spread), target of docs/performance.md, pass or FAIL. Installs first what a bare
# Debian or Ubuntu lacks.
#
#   benchmarks/run.sh [NAME...] [--json FILE] [--quick] [--repetitions N] [--no-counts] [--no-times]
#                     [--soak MINUTES] [--new-baseline]
#
# NAME: a benchmark of `millrace_benchmarks list`, or one of these parts:
#   metrics keys mqtt broker latency wake_ups http files start bike_stations compile_time tbb flink
# --quick: instruction counts only, in under two minutes; fails if one is more than 3 % above
#   benchmarks/baseline.json. --new-baseline: writes that file. --no-counts: times only;
#   --no-times: counts only. --soak: also that many minutes at 80 % of the greatest rate.
# Times and targets never make it fail. MILLRACE_BUILD_DIR: where to build (default: build/bench).
# MILLRACE_JOBS: compilers at a time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../.ci/setup.sh"

names=() repetitions=7 json= soak= quick=no counting=yes timing=yes new_baseline=no
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      sed -n '3,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --quick) quick=yes timing=no ;;
    --no-counts) counting=no ;;
    --no-times) timing=no ;;
    --new-baseline) new_baseline=yes ;;
    --json | --repetitions | --soak)
      [ $# -ge 2 ] || die "$1 needs a value"
      declare "${1#--}=$2"
      shift
      ;;
    -*) die "unknown option '$1'; see benchmarks/run.sh --help" ;;
    *) names+=("$1") ;;
  esac
  shift
done

# wanted NAME: whether it was asked for, or nothing was.
wanted() {
  [ ${#names[@]} -eq 0 ] || printf '%s\n' "${names[@]}" | grep -qx "$1"
}

setup
if [ $counting = yes ] && ! have_tool valgrind; then
  if have_tool apt-get && can_be_root; then
    install_packages valgrind
  else
    say "valgrind is not installed: no instruction counts (Debian's package: valgrind)"
    counting=no
  fi
fi
# Peers and servers; a part without its package says so and is left out.
if [ $timing = yes ] && have_tool apt-get && can_be_root; then
  for package in mosquitto libmosquitto-dev libtbb-dev; do
    have_package $package || install_packages $package || say "$package could not be installed"
  done
fi

folder=${MILLRACE_BUILD_DIR:-$MILLRACE_ROOT/build/bench}
arch=
if grep -qw avx2 /proc/cpuinfo 2>/dev/null && grep -qw bmi2 /proc/cpuinfo; then
  arch=haswell  # what callgrind can run, and the baseline was counted with
fi
configure_and_build "$folder" millrace_benchmarks -D CMAKE_BUILD_TYPE=Release \
  -D CMAKE_CXX_FLAGS_RELEASE="-O3 -DNDEBUG -g1" -D MILLRACE_BENCHMARK_ARCH="$arch" \
  -D MILLRACE_BUILD_TESTS=OFF -D MILLRACE_BUILD_EXAMPLES=ON -D MILLRACE_BUILD_BENCHMARKS=ON
programs=$folder/benchmarks
own=()
for name in "${names[@]}"; do
  case $name in
    metrics | keys | mqtt | broker | latency | wake_ups | http | files | start) ;;
    bike_stations | compile_time | tbb | flink | soak) ;;
    *)
      "$programs/millrace_benchmarks" list | grep -q "^$name " ||
        die "there is no benchmark called $name"
      own+=("$name")
      ;;
  esac
done
rows=$folder/rows.txt counts=$folder/counts.txt
: >"$rows"
: >"$counts"

# build TARGET: a further program; false where it cannot be had here.
build() {
  if cmake --build "$folder" --target "$1" -j "$(build_jobs)" >"$folder/$1.log" 2>&1; then
    return 0
  fi
  say "$1 could not be built here (see $folder/$1.log): left out"
  return 1
}

# part NAME PROGRAM [ARGUMENT...]: runs it if it is wanted; its rows go into the table.
part() {
  local name=$1 program=$2
  shift 2
  if [ $timing = no ] || ! wanted "$name"; then return 0; fi
  build "$program" || return 0
  say "running $program $*"
  timeout 1200 "$programs/$program" "$@" >>"$rows" || say "$name failed: no figures of it"
}

# count_into FILE PROGRAM NAME CONTESTANT FEW MANY: instructions per event, as a slope.
count_into() {
  local file=$1 program=$2 name=$3 contestant=$4 log passes events points=
  log=$(mktemp "$folder/callgrind.XXXXXX")
  for passes in "$5" "$6"; do
    events=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file="$log" \
      "$programs/$program" count "$name" "$contestant" "$passes") ||
      { cat "$log" >&2; die "callgrind failed on $name"; }
    points+=" $(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log") $events"
  done
  rm -f "$log"
  printf '%s %s%s\n' "$name" "$contestant" "$points" |
    awk '{ printf "%s %s %.3f\n", $1, $2, ($5 - $3) / ($6 - $4) }' >>"$file"
}

# count_all FILE PROGRAM: all that is wanted, as many at a time as there are processors.
count_all() {
  local file=$1 program=$2 name few many speed contestants contestant running=0
  while read -r name few many speed contestants; do
    if [ "$many" = 0 ] || [ $quick$speed = yesslow ] || { [ "$program" = millrace_benchmarks ] && ! wanted "$name"; }; then
      continue
    fi
    for contestant in $contestants; do
      if [ $quick = yes ] && [ "$contestant" != ours ]; then continue; fi
      count_into "$file" "$program" "$name" "$contestant" "$few" "$many" &
      running=$((running + 1))
      if [ $running -ge "$(nproc)" ]; then
        wait -n || die "counting failed"
        running=$((running - 1))
      fi
    done
  done < <("$programs/$program" list)
  wait
}

if [ $counting = yes ]; then
  [ -n "$arch" ] ||
    say "this processor lacks AVX2: instruction counts are not comparable with the baseline"
  say "counting instructions"
  count_all "$counts" millrace_benchmarks
fi

baseline=$MILLRACE_ROOT/benchmarks/baseline.json
if [ $new_baseline = yes ]; then
  "$programs/millrace_benchmarks" baseline "$counts" "$baseline"
fi
if [ $quick = yes ]; then
  exec "$programs/millrace_benchmarks" compare "$counts" "$baseline"
fi

# What metrics cost: the same programs with and without.
if [ $counting = yes ] && wanted metrics && build bench_with_metrics && build bench_without_metrics; then
  say "counting what metrics cost"
  for kind in with without; do
    : >"$folder/$kind.txt"
    count_all "$folder/$kind.txt" bench_${kind}_metrics
  done
  awk 'NR == FNR { on[$1 " " $2] = $3; next }
       $2 == "ours" { r = on[$1 " " $2] / $3
         printf "metrics_%s\tIr/event\t%.3f\tMILLRACE_NO_METRICS\t%.3f\t%.5f\t%.5f\t%.5f\tmetrics\t<=\t1.03\t-\n",
           $1, on[$1 " " $2], $3, r, r, r }' "$folder/with.txt" "$folder/without.txt" >>"$rows"
fi

if [ ${#names[@]} -eq 0 ] || [ ${#own[@]} -gt 0 ]; then
  times=()
  [ $timing = yes ] || times=(--no-times)
  "$programs/millrace_benchmarks" run --counts "$counts" --repetitions "$repetitions" \
    "${times[@]}" "${own[@]}" >>"$rows" || say "a benchmark failed: see the row FAILED in the table"
fi

part wake_ups bench_wake_ups
for keys in 1 1000 100000 3000000; do part keys bench_keys $keys; done
part mqtt bench_mqtt replayed
part broker bench_mqtt broker
part latency bench_mqtt latency
part http bench_http_calls
part files bench_files
part start bench_start
part tbb bench_tbb
if [ $timing = yes ]; then
  if wanted bike_stations && build bike_stations && build bench_command; then
    say "running the bike-station demo"
    cp "$folder/examples/bike_stations" "$folder/stripped"
    strip "$folder/stripped"
    memory=$("$programs/bench_command" "$folder/stripped" --stations 500 --duration 10s) || memory="nan nan"
    size=$(stat -c %s "$folder/stripped")
    printf 'bike_stations\tresident MiB\t%s\t-\tnan\tnan\tnan\tnan\t16\t<=\t16\t%s\n' \
      "${memory#* }" "with the demo's broker, city and models in the process" >>"$rows"
    printf 'bike_stations\tstripped MiB\t%s\t-\tnan\tnan\tnan\tnan\t16\t<=\t6\t-\n' \
      "$(awk "BEGIN { printf \"%.2f\", $size / 1048576 }")" >>"$rows"
  fi
  if wanted compile_time && build bench_command; then
    "$MILLRACE_ROOT/benchmarks/compile_time/run.sh" "$programs/bench_command" >>"$rows"
  fi
  if wanted flink; then
    "$MILLRACE_ROOT/benchmarks/peers/flink.sh" "$folder" >>"$rows" || say "Flink: no figures"
  fi
  if [ -n "$soak" ] && build bench_mqtt; then
    "$programs/bench_mqtt" soak "$soak" >>"$rows"
  fi
fi

# What the library does not have cannot be measured; the table says so.
if [ ${#names[@]} -eq 0 ]; then
  printf 'sinks\tInfluxDB, SQLite\tnan\t-\tnan\tnan\tnan\tnan\t11\t>=\t0.95\tthe library has no such sinks yet\n' >>"$rows"
fi
"$programs/millrace_benchmarks" table "$rows" $json
