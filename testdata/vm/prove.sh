#!/usr/bin/env bash
# Proves that one mcplb relays COUNT connections (default 100,000) to four nodes: 70% raw TCP, 10% each of Streamable HTTP,
# WebSocket and HTTP+SSE, each an MCP session with responses; evenly, with sticky sessions, and through the death of a node.
#
#   prove.sh [COUNT]
#
# It runs on this machine if the open-files limit allows it, otherwise in a virtual machine, which VM_RUN must name: a
# program RUN [-m MEMORY] [-t SECONDS] [-o OUTDIR] JOB FILE... that runs JOB as root in a directory with the FILEs, shows
# its output and ends with its status. The reports (JSON, CSV, HTML with plots) go to OUT (default bin/prove). The exit status is 0
# if everything was as expected.
set -euo pipefail
count=${1:-100000}
cd "$(dirname "$0")/../.."
out=$(realpath -m "${OUT:-bin/prove}")
mkdir -p "$out"
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$files/" ./cmd/...
echo "$count" > "$files/count"
if limit=$(ulimit -Hn) && { [ "$limit" = unlimited ] || [ "$limit" -ge $((count * 9 / 4 + 1000)) ]; }; then
  ulimit -n "$limit"
  cp testdata/vm/prove.toml "$files"
  (cd "$files" && PATH="$files:$PATH" sh "$OLDPWD/testdata/vm/prove.job") && status=0 || status=$?
  cp "$files"/report.* "$out"
  exit $status
fi
[ -n "${VM_RUN:-}" ] || { echo "prove.sh: the open-files limit is $limit and $((count * 9 / 4 + 1000)) are needed: raise it, or name a virtual machine's RUN in VM_RUN (see the top of this file)" >&2; exit 1; }
"$VM_RUN" -m "${MEMORY:-14G}" -t "${SECONDS_AT_MOST:-10800}" -o "$out" testdata/vm/prove.job testdata/vm/prove.toml packaging/systemd/60-mcplb.conf "$files"/*
