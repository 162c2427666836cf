#!/usr/bin/env bash
# Upgrades one mcplb while it holds many connections, in a virtual machine with a sufficient open-files limit.
#
#   upgrade.sh RUN [COUNT]
#
# RUN is the program that starts the machine, as for hold.sh. COUNT is the number of connections (default 50000). The log's
# last lines show how many were handed over, and for how long they were not served. The exit status is 0 if each responded,
# before and after.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
run=$(realpath "$1")
count=${2:-50000}
cd "$(dirname "$0")/../.."

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$files/" ./cmd/mcplb ./cmd/mcpnode ./internal/suites/hold
echo "$count" > "$files/count"
"$run" -m "${MEMORY:-8G}" -t "${SECONDS_AT_MOST:-1800}" testdata/vm/upgrade.job testdata/vm/hold.toml packaging/systemd/60-mcplb.conf "$files"/*
