#!/usr/bin/env bash
# Builds the image of packaging/Dockerfile and runs it: packaging/image/test.sh [docker] [podman]
#
# The image is built by podman. Then Docker and podman, both with runc, run it (run.sh says what is tested). They run in
# namespaces of processes, mounts and networks, and their storage is in a temporary directory: the machine's own containers,
# images, networks and addresses are left alone, and nothing remains.
#
# Needs root, Go, curl, openssl, podman, netavark and aardvark-dns, dockerd and docker, containerd, runc, docker-compose (1.29 or
# later), iptables, and the network. Where no registry is reachable, a Debian root stands for the image golang:1.26, with the Go
# of this machine: BASE names one with git and ca-certificates, or debootstrap makes it.
set -euo pipefail
cd "$(dirname "$0")/../.."
engines=${*:-docker podman}
[ "$(id -u)" = 0 ] || { echo "$0: containers need root here" >&2; exit 1; }
missing=
for program in go git curl openssl podman dockerd docker containerd runc docker-compose iptables unshare; do
  command -v "$program" > /dev/null || missing+=" $program"
done
[ -x /usr/lib/podman/netavark ] || [ -x /usr/libexec/podman/netavark ] || missing+=" netavark"
[ -z "$missing" ] || { echo "$0: not installed:$missing" >&2; exit 1; }

work=$(mktemp -d /tmp/mcplb-image.XXXXXX)
inner=
# The control groups that engines make and leave behind.
groups() { find /sys/fs/cgroup -maxdepth 2 -type d \( -name mcplb-image -o -name docker -o -name libpod_parent \) | sort; }
before=$(groups)
finish() {
  [ -z "$inner" ] || kill -KILL "$inner" 2> /dev/null || true # and with it the first process of the namespace, and so all others
  wait
  comm -13 <(echo "$before") <(groups) | while read -r group; do
    find "$group" -depth -type d -exec rmdir {} \; 2> /dev/null || true
  done
  rm -rf --one-file-system "$work"
}
trap finish EXIT
say() { printf '\n== %s\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
pod() { podman --root "$work/build" --runroot "$work/build.run" --cgroup-manager cgroupfs "$@"; }

# stand_in: a Debian root and the Go of this machine as the image golang:1.26.
stand_in() {
  if [ -z "${BASE:-}" ]; then
    BASE=$work/base
    debootstrap --variant=minbase --include=git,ca-certificates stable "$BASE" > "$work/debootstrap.log" || fail "debootstrap: $(tail -n 3 "$work/debootstrap.log")"
  fi
  tar -C "$BASE" --one-file-system --exclude=./usr/local/go -cf "$work/base.tar" .
  tar -C "$(go env GOROOT)" --transform 's,^\./,usr/local/go/,' -rf "$work/base.tar" ./bin ./pkg ./src ./lib ./go.env ./VERSION ./LICENSE ./PATENTS
  pod import --quiet --change "ENV PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin" --change "ENV GOPATH=/go" "$work/base.tar" docker.io/library/golang:1.26
  rm "$work/base.tar"
}

say "base image"
if [ -n "${BASE:-}" ]; then
  echo "$BASE stands for golang:1.26"
  stand_in
elif ! timeout 120 podman --root "$work/build" --runroot "$work/build.run" pull --quiet docker.io/library/golang:1.26; then
  echo "no registry gives golang:1.26; a Debian root stands for it"
  stand_in
fi

say "build"
# What a clone has, and what is not committed yet.
git clone --quiet --no-hardlinks "file://$PWD" "$work/source"
git ls-files -z --modified --others --exclude-standard | tar --null --files-from - --create | tar --directory "$work/source" --extract
# The caches of Go: a second download would show nothing.
pod build --quiet --isolation chroot --format docker --volume "$(go env GOMODCACHE):/go/pkg/mod" --volume "$(go env GOCACHE):/root/.cache/go-build" \
  --tag localhost/mcplb-image-test --file "$work/source/packaging/Dockerfile" "$work/source"

say "what is in it"
pod create --quiet --name content --health-interval disable localhost/mcplb-image-test > /dev/null
pod export content | tar -C "$work" --extract --one-top-level=image
pod rm content > /dev/null
(cd "$work/image" && find . -type f -size +0 | sort) | tee "$work/files"
[ "$(xargs < "$work/files")" = "./etc/ssl/certs/ca-certificates.crt ./licenses.txt ./mcplb" ] || fail "other files than those"
roots=$(grep -c 'BEGIN CERTIFICATE' "$work/image/etc/ssl/certs/ca-certificates.crt")
[ "$roots" -gt 50 ] || fail "$roots root certificates"
pod save --quiet --format docker-archive --output "$work/image.tar" localhost/mcplb-image-test
pod rmi --all --force > /dev/null
CGO_ENABLED=0 go build -trimpath -o "$work/bin/" ./cmd/mcplb ./cmd/mcpnode ./cmd/mcpcluster

for engine in $engines; do
  # The first process of the namespace is a shell, which collects what engines leave; ten minutes are enough on a busy machine.
  unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc \
    bash -c 'timeout --signal=KILL 600 packaging/image/run.sh "$@"; exit $?' engine "$engine" "$work" < /dev/null &
  inner=$!
  status=0
  wait "$inner" || status=$?
  inner=
  [ "$status" != 137 ] || fail "$engine: not over after ten minutes"
  [ "$status" = 0 ] || fail "$engine: see above"
done
say "passed: $engines"
