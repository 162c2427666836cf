#!/usr/bin/env bash
# Builds mcplb for a release and lays out what is installed:
#
#   packaging/stage.sh ROOT PREFIX
#
# ROOT gets PREFIX/bin/mcplb and what belongs to it, and etc/. The binary is stripped and static. The same commit and
# version give the same bytes: nothing depends on the time, the path or the user. VERSION and SOURCE_DATE_EPOCH override
# what git says (packaging/version.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
root=$1 prefix=$2
. packaging/version.sh

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
compile() { go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X mcplb/cmd/internal/build.linked=$VERSION" -o "$1/" ./cmd/mcplb; }
compile "$built"
here=$built
if [ "$(go env GOARCH)" != "$(go env GOHOSTARCH)" ]; then
  # Manual and completions come from the program, which has to run here for that.
  here=$built/here
  GOARCH=$(go env GOHOSTARCH) compile "$here"
fi
make -s install-files BIN="$built" HERE="$here" DESTDIR="$root" PREFIX="$prefix" SYSCONFDIR=/etc
gzip -9 -n "$root$prefix"/share/man/man1/*.1
go version -m "$built/mcplb" | sed "1s,.*,mcplb $VERSION: what it was built from," > "$built/sbom.txt"
install -D -m 644 "$built/sbom.txt" "$root$prefix/share/doc/mcplb/sbom.txt"
packaging/licenses.sh > "$built/licenses.txt"
install -D -m 644 "$built/licenses.txt" "$root$prefix/share/doc/mcplb/licenses.txt"
[ ! -e LICENSE ] || install -D -m 644 LICENSE "$root$prefix/share/doc/mcplb/LICENSE"
install -D -m 644 CHANGELOG.md "$root$prefix/share/doc/mcplb/CHANGELOG.md"
