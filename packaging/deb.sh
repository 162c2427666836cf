#!/usr/bin/env bash
# Makes a Debian package: packaging/deb.sh DIRECTORY writes mcplb_VERSION_ARCH.deb. A version between two releases
# sorts before the release that it leads to (1.3.0~dev+0123456789ab). MAINTAINER (NAME <ADDRESS>) is who answers for the
# package: without it, the commit's author.
set -euo pipefail
cd "$(dirname "$0")/.."
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
out=$1
. packaging/version.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packaging/stage.sh "$work/root" /usr
doc=$work/root/usr/share/doc/mcplb
DEB_VERSION=${VERSION/-dev/\~dev}
ARCH=$(go env GOARCH)
ROOT=$work/root
MAINTAINER=${MAINTAINER:-$(git log -1 --format='%an <%ae>')}
export DEB_VERSION ARCH ROOT MAINTAINER

gzip -9 -n "$doc/CHANGELOG.md"
# What Debian's tools read: what has changed stands in CHANGELOG.md.
printf 'mcplb (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.gz beside this file.\n\n -- %s  %s\n' "$DEB_VERSION" "$MAINTAINER" \
  "$(LC_ALL=C date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")" | gzip -9 -n > "$doc/changelog.gz"
{
  sed "s/YEAR/$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y)/" packaging/deb/copyright
  if [ -e LICENSE ]; then cat LICENSE; else echo 'The repository has no LICENSE: no license is granted, and all rights are reserved.'; fi
} > "$doc/copyright"
rm -f "$doc/LICENSE"
install -D -m 644 packaging/deb/lintian-overrides "$work/root/usr/share/lintian/overrides/mcplb"
mkdir -p "$out"
find "$work/root" -exec touch --no-create --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
# nfpm runs here, whatever the package is for.
GOARCH=$(go env GOHOSTARCH) go run "$nfpm" package --config packaging/deb/nfpm.yaml --packager deb --target "$out/mcplb_${DEB_VERSION}_$ARCH.deb"
