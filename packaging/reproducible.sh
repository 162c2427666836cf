#!/usr/bin/env bash
# Builds the release and the Debian package twice from this commit, the second time in another directory, at another time,
# with another umask, time zone, locale, home and other settings of Go, and compares what came out: packaging/reproducible.sh
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d /tmp/mcplb-twice.XXXXXX)
trap 'rm -rf "$work"' EXIT

# build SOURCE DIRECTORY NAME=VALUE...: a clone of the source there, packages in its bin/release.
build() {
  local source=$1 clone=$2
  shift 2
  git clone --quiet --no-hardlinks "file://$source" "$clone"
  (cd "$clone" && env "$@" bash -c 'umask "$MASK" && packaging/release.sh bin/release > /dev/null && packaging/deb.sh bin/release')
}

# The caches of Go remain: a second download and a second build of nfpm would show nothing.
export GOPATH GOCACHE
GOPATH=$(go env GOPATH) GOCACHE=$(go env GOCACHE)
build "$PWD" "$work/a" MASK=022
sleep 1.1 # whatever takes the time of day shows
mkdir -p "$work/home" "$work/another/and longer"
# From the first clone: the same commit, even if there is another one by now.
build "$work/a" "$work/another/and longer/b" MASK=077 TZ=Asia/Kathmandu LC_ALL=C.UTF-8 HOME="$work/home" USER=another TMPDIR="$work/another" \
  GOFLAGS='-tags=another -buildvcs=true' GOAMD64=v3 GZIP=-1 TAR_OPTIONS=--owner=1 XZ_OPT=-1 MAKEFLAGS=-j2 PREFIX=/opt
cd "$work/a/bin/release"
sha256sum -- * | tee "$work/sums"
(cd "$work/another/and longer/b/bin/release" && sha256sum --quiet --check "$work/sums") || { echo "FAILED: the same commit gave other bytes" >&2; exit 1; }
[ "$(ls)" = "$(ls "$work/another/and longer/b/bin/release")" ] || { echo "FAILED: the same commit gave other files" >&2; exit 1; }
[ "$(ls | wc -l)" = 4 ] || { echo "FAILED: a tarball, a package, modules and checksums were to be built" >&2; exit 1; }
echo "built twice, the same bytes"
