#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The reference pipeline behind an MQTT server in another process, at 80 % of the greatest rate:
# lost messages, memory, latencies. Prints the rows as a table.
#
#   benchmarks/soak.sh [MINUTES]      30 by default
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../.ci/setup.sh"
case ${1:-30} in
  *[!0-9.]*)
    sed -n '3,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
exec "$MILLRACE_ROOT/benchmarks/run.sh" soak --no-counts --soak "${1:-30}"
