#!/usr/bin/env bash
# Prints the licenses of what mcplb is built from, which must go with the program: Go's, and those of every module of which
# a package is linked. The texts come from Go's installation and the module cache, which go.sum verifies: the same commit
# gives the same bytes. A module without a license is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

# show TITLE FILE: one text, without characters that Debian's tools refuse.
show() {
  printf '\n%s\n%s\n\n' "$1" "${1//?/-}"
  tr -d '\r\f' < "$2"
}

# texts DIRECTORY: its licenses and notices.
texts() { find "$1" -maxdepth 1 -type f -iregex '.*/\(licen[sc]e\|copying\|notice\|patents\)\([.-][a-z0-9.-]*\)?' ! -name '*.go' | sort; }

show "Go ($(go env GOVERSION)): LICENSE" "$(go env GOROOT)/LICENSE"
show "Go ($(go env GOVERSION)): PATENTS" "$(go env GOROOT)/PATENTS"
# Of each package: its module, the module's directory, and the package itself, since parts of a module may have licenses
# of their own.
packages=$(CGO_ENABLED=0 go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}} {{$.ImportPath}}{{end}}{{end}}' ./cmd/mcplb)
found=$(while read -r module version root package; do
  inside=${package#"$module"}
  while :; do
    texts "$root$inside" | while read -r file; do echo "$module $version ${file#"$root"/} $root"; done
    [ -n "$inside" ] || break
    inside=${inside%/*}
  done
done <<< "$packages" | sort -u)
while read -r module _; do
  [[ $'\n'$found == *$'\n'"$module "* ]] || { echo "$0: $module has no license" >&2; exit 1; }
done <<< "$packages"
while read -r module version file root; do show "$module $version: $file" "$root/$file"; done <<< "$found"
