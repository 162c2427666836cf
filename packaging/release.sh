#!/usr/bin/env bash
# Makes a release: packaging/release.sh DIRECTORY writes mcplb-VERSION-linux-ARCH.tar.gz, its list of modules
# (mcplb-VERSION.sbom.txt) and SHA256SUMS. Built twice from one commit, they are the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
. packaging/version.sh
name=mcplb-$VERSION-linux-$(go env GOARCH)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packaging/stage.sh "$work/$name" /usr/local
mkdir -p "$out"
tar --create --directory "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu "$name" | gzip -9 -n > "$out/$name.tar.gz"
cp "$work/$name/usr/local/share/doc/mcplb/sbom.txt" "$out/mcplb-$VERSION.sbom.txt"
cd "$out"
sha256sum "$name.tar.gz" "mcplb-$VERSION.sbom.txt" > SHA256SUMS
cat SHA256SUMS
