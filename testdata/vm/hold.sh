#!/usr/bin/env bash
# Makes one mcplb hold many connections, in a virtual machine with a sufficient open-files limit.
#
#   hold.sh RUN [COUNT]
#
# RUN is the program that starts the machine: RUN [-m MEMORY] [-t SECONDS] JOB FILE...; it runs JOB as root in a directory
# with the FILEs, shows its output and ends with its status. COUNT is the number of connections (default 30000); each must
# respond three times. Prints the memory and files of mcplb before and while it holds them. The exit status is 0 if all
# responded.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
run=$(realpath "$1")
count=${2:-30000}
cd "$(dirname "$0")/../.."

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$files/" ./cmd/mcplb ./cmd/mcpnode ./cmd/mcpcluster ./internal/suites/hold
echo "$count" > "$files/count"
"$run" -m "${MEMORY:-8G}" -t "${SECONDS_AT_MOST:-1800}" testdata/vm/hold.job testdata/vm/hold.toml "$files"/*
