# SPDX-License-Identifier: Apache-2.0
# Shell functions of examples/run.sh, tests/run.sh and .ci/run: they find out what a machine lacks,
# say so, install it, and configure. Nothing is ever removed. To be sourced by bash.

MILLRACE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MILLRACE_DEPS_DIR=${MILLRACE_DEPS_DIR:-${MILLRACE_BUILD_DIR:-$MILLRACE_ROOT/build}/deps}

say() { printf '%s\n' "== $*" >&2; }
die() {
  printf '%s\n' "error: $*" >&2
  exit 1
}

# have_tool NAME: a program in the PATH. have_library PACKAGE HEADER...: the Debian package, or one
# of the headers where people install by hand.
have_tool() { command -v "$1" >/dev/null 2>&1; }
have_package() {
  have_tool dpkg-query && [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}
have_library() {
  local package=$1 header
  shift
  have_package "$package" && return 0
  for header in "$@"; do
    [ -e "/usr/local/include/$header" ] && return 0
  done
  return 1
}

# Runs a command as root: directly, or through sudo (which may ask only when somebody can answer).
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif [ -t 0 ] && [ -z "${CI:-}" ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}
can_be_root() { [ "$(id -u)" = 0 ] || have_tool sudo; }

apt_updated=no
apt_update() {
  [ $apt_updated = no ] || return 0
  apt_updated=yes
  say "apt-get update"
  as_root apt-get -q -o DPkg::Lock::Timeout=120 update >&2 ||
    say "apt-get update failed; trying with the package lists that are there"
}

apt_simulate() { LC_ALL=C apt-get -s install --no-install-recommends "$@" 2>&1; }

# install_packages PACKAGE...: says what it does, and refuses what would remove a package.
install_packages() {
  local plan
  [ $# -gt 0 ] || return 0
  have_tool apt-get || die "missing: $* (Debian's names). This machine has no apt-get; install them \
with its own package manager."
  can_be_root || die "missing packages, and neither root nor sudo to install them. Please run:
  apt-get install $*"
  say "missing packages, to be installed with apt-get: $*"
  apt_update
  plan=$(apt_simulate "$@") || die "apt-get cannot install these packages:
$plan"
  if printf '%s\n' "$plan" | grep -q '^Remv '; then
    die "installing would remove packages of yours, so it was not done:
$(printf '%s\n' "$plan" | grep '^Remv ')"
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=120 \
    install --no-install-recommends "$@" >&2 || die "apt-get install failed"
}

# Prints the version of the Boost headers in a folder as a number such as 108100, or 0.
boost_version() {
  local version
  version=$(sed -n 's/^#define BOOST_VERSION \([0-9]*\)$/\1/p' "$1/boost/version.hpp" 2>/dev/null)
  printf '%s\n' "${version:-0}"
}
recent_boost() { [ "$(boost_version "$1")" -ge 108100 ]; }

# The version of a package that apt would install, as a number such as 174, or 0.
boost_candidate() {
  local version
  version=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null |
    sed -n 's/^  Candidate: \([0-9]*\)\.\([0-9]*\).*/\1\2/p')
  printf '%s\n' "${version:-0}"
}

# Boost >= 1.81: the system's; one unpacked earlier; the distribution's libboost-dev; or, on Debian
# 12, libboost1.81-dev unpacked into the build folder, because installing it would remove 1.74.
setup_boost() {
  local folder unpacked=$MILLRACE_DEPS_DIR/boost/usr/include
  for folder in "${MILLRACE_BOOST_INCLUDE_DIR:-}" /usr/include /usr/local/include "$unpacked"; do
    if [ -n "$folder" ] && recent_boost "$folder"; then
      export MILLRACE_BOOST_INCLUDE_DIR=$folder
      return 0
    fi
  done
  have_tool apt-get || die "Boost >= 1.81 is missing. Install its headers, and set \
MILLRACE_BOOST_INCLUDE_DIR to the folder that holds boost/ if it is not a usual one."
  if [ "$(boost_candidate libboost-dev)" = 0 ] && can_be_root; then apt_update; fi
  if [ "$(boost_candidate libboost-dev)" -ge 181 ]; then
    install_packages libboost-dev
    export MILLRACE_BOOST_INCLUDE_DIR=/usr/include
    return 0
  fi
  if [ "$(boost_candidate libboost1.81-dev)" = 0 ]; then
    die "this distribution has no package of Boost >= 1.81. Unpack its headers somewhere, and set \
MILLRACE_BOOST_INCLUDE_DIR to the folder that holds boost/."
  fi
  say "Boost here is older than 1.81: unpacking libboost1.81-dev into $MILLRACE_DEPS_DIR/boost"
  say "(it is not installed: that would remove the older one)"
  rm -rf "$MILLRACE_DEPS_DIR/boost" "$MILLRACE_DEPS_DIR/download"
  mkdir -p "$MILLRACE_DEPS_DIR/download"
  (cd "$MILLRACE_DEPS_DIR/download" &&
    apt-get -q -o APT::Sandbox::User=root download libboost1.81-dev >&2 &&
    dpkg -x libboost1.81-dev_*.deb ../boost) || die "could not fetch libboost1.81-dev"
  rm -rf "$MILLRACE_DEPS_DIR/download"
  export MILLRACE_BOOST_INCLUDE_DIR=$unpacked
}

# setup [PACKAGE...]: everything to compile millrace, and further packages as they are.
setup() {
  local missing=() package
  have_tool "${CXX:-g++}" || missing+=(g++)
  have_tool cmake || missing+=(cmake)
  have_tool ninja || missing+=(ninja-build)
  have_library libc6-dev || missing+=(libc6-dev)
  have_library libsimdjson-dev simdjson.h || missing+=(libsimdjson-dev)
  have_library libfmt-dev fmt/core.h || missing+=(libfmt-dev)
  have_library libtomlplusplus-dev toml++/toml.h || missing+=(libtomlplusplus-dev)
  have_library libssl-dev openssl/ssl.h || missing+=(libssl-dev)
  for package in "$@"; do
    have_package "$package" || missing+=("$package")
  done
  have_tool apt-get || missing=()  # another distribution: CMake says what it cannot find
  install_packages "${missing[@]}"
  setup_boost
}

# How many compilers at a time: one per processor, but no more than memory allows.
build_jobs() {
  local jobs megabytes
  jobs=$(nproc 2>/dev/null || echo 1)
  megabytes=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null)
  if [ -n "$megabytes" ] && [ $((megabytes / 1500)) -lt "$jobs" ]; then jobs=$((megabytes / 1500)); fi
  [ "$jobs" -ge 1 ] || jobs=1
  printf '%s\n' "${MILLRACE_JOBS:-$jobs}"
}

# configure_and_build FOLDER TARGET [CMAKE ARGUMENT...]: quick when nothing has changed.
configure_and_build() {
  local folder=$1 target=$2 jobs
  shift 2
  jobs=$(build_jobs)
  mkdir -p "$folder" || die "cannot write to $folder; set MILLRACE_BUILD_DIR to another folder"
  say "configuring in $folder"
  cmake -S "$MILLRACE_ROOT" -B "$folder" -G Ninja \
    -D MILLRACE_BOOST_INCLUDE_DIR="$MILLRACE_BOOST_INCLUDE_DIR" "$@" >"$folder/configure.log" 2>&1 ||
    { cat "$folder/configure.log" >&2; die "configuration failed"; }
  say "building $target with $jobs job(s); the first time takes some minutes"
  cmake --build "$folder" --target "$target" -j "$jobs" >&2 || die "the build failed"
}
