#!/usr/bin/env bash
# Builds the image of packaging/Dockerfile, and runs it as Kubernetes and Docker are told to: packaging/image/test.sh
#
# The process is not root, has no capability and a read-only root file system. It finds a server by its name and one by TLS
# with the image's root certificates, is healthy, reloads by HUP while a client is connected, refuses USR2 (it is the
# container's first process), and serves the client until it leaves when the container is stopped.
#
# mcpcluster compose: docker-compose accepts its file, and its images are built and run.
#
# Needs root, Go, openssl, podman, crun and docker-compose (podman's own storage is left alone). BASE names a Debian root with Go in usr/local/go, git and
# ca-certificates, which stands in for the image golang:1.26 where no registry is reachable.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d /tmp/mcplb-image.XXXXXX)
store=${STORE:-$work/store}
pod() { podman --root "$store/images" --runroot "$store/run" --storage-driver vfs --cgroup-manager cgroupfs "$@"; }
servers=
finish() {
  pod rm --force --time 0 lb > /dev/null 2>&1 || true
  for pid in $servers; do kill "$pid" 2> /dev/null || true; done
  wait
  rm -rf --one-file-system "$work"
}
trap finish EXIT
say() { printf '\n== %s\n' "$*"; }
fail() {
  echo "FAILED: $*" >&2
  pod logs lb >&2 || true
  exit 1
}
# within TIMES COMMAND: the command succeeds within so many tenths of a second.
within() {
  local times=$1
  shift
  for _ in $(seq "$times"); do
    if "$@"; then return 0; fi
    sleep 0.1
  done
  return 1
}

say "build"
mounts=()
if [ -n "${BASE:-}" ]; then
  pod image exists docker.io/library/golang:1.26 || tar -C "$BASE" --one-file-system -c . | pod import --change "ENV PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin" --change "ENV GOPATH=/go" - docker.io/library/golang:1.26
  mounts=(--network host --volume "$(go env GOMODCACHE):/go/pkg/mod" --volume "$(go env GOCACHE):/root/.cache/go-build")
fi
pod build --quiet --isolation chroot --format docker "${mounts[@]}" --tag mcplb --file packaging/Dockerfile .

say "what is in it"
pod create --name lb mcplb > /dev/null
pod export lb | tar -C "$work" --extract --one-top-level=image
pod rm lb > /dev/null
(cd "$work/image" && find . -type f -size +0 | sort) | tee "$work/files"
[ "$(xargs < "$work/files")" = "./etc/ssl/certs/ca-certificates.crt ./licenses.txt ./mcplb" ] || fail "other files than those"
roots=$(grep -c 'BEGIN CERTIFICATE' "$work/image/etc/ssl/certs/ca-certificates.crt")
[ "$roots" -gt 50 ] || fail "$roots root certificates"

say "run"
CGO_ENABLED=0 go build -trimpath -o "$work/" ./cmd/mcpnode
"$work/mcpnode" -name node1 -tcp 127.118.1.11:9001 -http 127.118.1.11:8080 2> "$work/node.log" &
servers+=" $!"
# An authority among the roots, and a server that it has certified.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout "$work/ca.key" -out "$work/ca.pem" 2> /dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=secure.test -keyout "$work/key.pem" 2> /dev/null |
  openssl x509 -req -days 2 -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -extfile <(echo subjectAltName=DNS:secure.test) -out "$work/cert.pem" 2> /dev/null
openssl s_server -quiet -accept 127.118.1.11:9443 -cert "$work/cert.pem" -key "$work/key.pem" -WWW > /dev/null 2>&1 &
servers+=" $!"
cat "$work/image/etc/ssl/certs/ca-certificates.crt" "$work/ca.pem" > "$work/roots.pem"
mkdir "$work/etc"
cat > "$work/etc/lb.toml" << 'TOML'
[global]
hard_stop_after = "2m"

[admin]
listen = "127.118.1.1:8404"

[frontend.mcp]
listen  = "127.118.1.1:8000"
mode    = "mcp"
backend = "nodes"

[backend.nodes.check]
type = "mcp"

[[backend.nodes.server]]
name = "node1"
tcp  = "node1.test:9001"

[frontend.secure]
listen  = "127.118.1.1:8443"
mode    = "tcp"
backend = "secure"

[backend.secure.tls]

[[backend.secure.server]]
name = "secure"
tcp  = "secure.test:9443"
TOML
chmod -R a+rX "$work"
pod run --detach --name lb --runtime crun --cgroups disabled --read-only --cap-drop ALL --security-opt no-new-privileges --network host \
  --add-host node1.test:127.118.1.11 --add-host secure.test:127.118.1.11 --volume "$work/etc:/etc/mcplb:ro" \
  --volume "$work/roots.pem:/etc/ssl/certs/ca-certificates.crt:ro" mcplb
pid=$(pod inspect --format '{{.State.Pid}}' lb)
usable() { [ "$(pod exec lb /mcplb status 2> /dev/null | grep -c '1 of 1 servers usable')" = 2 ]; }
within 300 usable || fail "the servers, by name and by TLS, are not usable: $(pod exec lb /mcplb status 2>&1)"
grep -E '^(Uid|CapEff|NoNewPrivs)' "/proc/$pid/status"
[ "$(awk '/^Uid/ {print $2} /^CapEff/ {print $2}' "/proc/$pid/status" | xargs)" = "65532 0000000000000000" ] || fail "it has rights"
awk '$5 == "/" {print $6}' "/proc/$pid/mountinfo" | grep -q '^ro' || fail "its root file system is not read-only"

say "health check"
pod healthcheck run lb || fail "the health check fails"

say "HUP"
exec 7<> /dev/tcp/127.118.1.1/8000
# answers MESSAGE PART: the client that has been connected since the beginning gets an answer that has the part.
answers() {
  local answer
  printf '%s\n' "$1" >&7
  IFS= read -r -t 20 answer <&7 || fail "the client has lost its connection"
  [[ $answer == *"$2"* ]] || fail "the client got $answer"
}
pings() { answers "{\"jsonrpc\":\"2.0\",\"id\":$1,\"method\":\"ping\"}" "\"id\":$1"; }
answers '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}' serverInfo
sed -i 's/127.118.1.1:8443/127.118.1.1:8444/' "$work/etc/lb.toml"
pod kill --signal HUP lb > /dev/null
listens() { (exec 3<> "/dev/tcp/127.118.1.1/$1") 2> /dev/null; }
within 200 listens 8444 || fail "the file of the reload is not in force"
pings 2

say "USR2 is refused"
pod kill --signal USR2 lb > /dev/null
refused() { pod logs lb 2>&1 | grep 'first process of its container'; }
within 200 refused || fail "the log does not say that there is no upgrade"
pings 3
[ "$(pod inspect --format '{{.State.Pid}} {{.State.Running}}' lb)" = "$pid true" ] || fail "the container has ended"

say "stop"
pod stop --time 120 lb > /dev/null &
stopping=$!
deaf() { ! listens 8000; }
within 200 deaf || fail "a new client is accepted although it stops"
for id in 4 5 6; do
  sleep 1
  pings "$id"
done
exec 7>&-
wait "$stopping" || fail "podman stop"
[ "$(pod inspect --format '{{.State.ExitCode}}' lb)" = 0 ] || fail "exit status $(pod inspect --format '{{.State.ExitCode}}' lb)"

say "mcpcluster compose"
CGO_ENABLED=0 go build -trimpath -o "$work/bin/" ./cmd/mcplb ./cmd/mcpnode ./cmd/mcpcluster
"$work/bin/mcpcluster" compose -bin "$work/bin" -o "$work/cluster"
docker-compose -f "$work/cluster/docker-compose.yml" config --quiet || fail "docker-compose refuses the file"
sed 's/read_only: true/read_olny: true/' "$work/cluster/docker-compose.yml" > "$work/cluster/wrong.yml"
! docker-compose -f "$work/cluster/wrong.yml" config --quiet 2> /dev/null || fail "docker-compose accepts anything"
for target in mcpnode mcplb; do
  pod build --quiet --isolation chroot --format docker --target "$target" --tag "$target-compose" "$work/cluster"
  [ "$(pod image inspect --format '{{.User}}' "$target-compose")" = 65532:65532 ] || fail "the image of $target runs as root"
  pod run --rm --runtime crun --cgroups disabled --read-only --cap-drop ALL --network none "$target-compose" "-help" > /dev/null || fail "$target does not run"
done
pod run --rm --runtime crun --cgroups disabled --read-only --cap-drop ALL --network none mcplb-compose -c /lb.toml -t || fail "the configuration of the cluster is not valid there"
say "passed"
