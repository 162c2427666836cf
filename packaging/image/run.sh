#!/usr/bin/env bash
# Runs the image under docker or podman, in namespaces that test.sh has made: packaging/image/run.sh ENGINE WORK
#
# The process is not root, has no capability and a read-only root file system. It finds a server by its name and one by TLS
# with the image's root certificates, serves TCP and HTTP, and its status is healthy, even without servers, and unhealthy when
# it does not answer. It reloads by HUP while a client is connected, refuses USR2 (it is the container's first process), and
# serves the client until it leaves when the container is stopped. Then what mcpcluster compose has written is built and runs.
set -euo pipefail
engine=$1 work=$2
image=localhost/mcplb-image-test
address=172.25.0.10
say() { printf '\n== %s: %s\n' "$engine" "$*"; }
fail() {
  echo "FAILED: $*" >&2
  e logs lb >&2 || true
  tail -n 20 "$work/$engine.log" >&2 || true
  exit 1
}
# within SECONDS COMMAND: the command succeeds within that time.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}
# Not "| grep -q" anywhere: it ends before what it reads, which then fails.
quiet() { "$@" > /dev/null 2>&1; }

mount -t tmpfs tmpfs /run # where engines have their sockets and network namespaces
ip link set lo up
# start_ENGINE: what the functions e (the engine's command) and compose need.
start_docker() {
  e() { docker "$@"; }
  export DOCKER_HOST=unix:///run/docker.sock
  dockerd --data-root "$work/docker" --exec-root /run/docker --pidfile /run/docker.pid --host "$DOCKER_HOST" \
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent /mcplb-image > "$work/docker.log" 2>&1 &
  health_options=(--health-interval 1s --health-timeout 2s --health-retries 2)
}
start_podman() {
  # A machine may not allow the limits that podman asks for, and without systemd nothing calls the health check but this test.
  printf '%s\n' '[containers]' 'default_ulimits = ["nofile=20000:20000", "nproc=4000:4000"]' '[network]' 'network_backend = "netavark"' > "$work/containers.conf"
  export CONTAINERS_CONF=$work/containers.conf DISABLE_HC_SYSTEMD=true DOCKER_HOST=unix:///run/podman.sock
  e() { podman --root "$work/podman" --runroot /run/pods --network-config-dir "$work/networks" --cgroup-manager cgroupfs --runtime runc "$@"; }
  e system service --time 0 "$DOCKER_HOST" > "$work/podman.log" 2>&1 &
  health_options=()
}
"start_$engine"
within 30 quiet e info || fail "$engine does not start"
within 30 quiet curl --silent --fail --max-time 5 --unix-socket "${DOCKER_HOST#unix://}" http://engine/_ping || fail "$engine's API does not answer"
e version
e load --quiet --input "$work/image.tar"

say "version and -t"
rights=(--read-only --user 65532 --cap-drop all --security-opt no-new-privileges)
network=(--network mcplb-image-test --ip "$address" --add-host node1.test:172.25.0.1 --add-host secure.test:172.25.0.1)
e network create --subnet 172.25.0.0/24 mcplb-image-test > /dev/null
# once ARGUMENT...: runs the image with them, without a network.
once() { e run --rm --network none "${rights[@]}" --volume "$etc:/etc/mcplb:ro" "$image" "$@"; }
etc=$work/$engine.etc
mkdir "$etc"
cat > "$etc/lb.toml" << 'TOML'
[global]
hard_stop_after = "2m"

[admin]
listen = ":8404"

[frontend.mcp]
listen  = ":8000"
mode    = "mcp"
backend = "nodes"

[frontend.http]
listen  = ":8080"
mode    = "http"
backend = "nodes"

[backend.nodes.check]
type = "mcp"

[[backend.nodes.server]]
name = "node1"
tcp  = "node1.test:9001"
http = "node1.test:9002"

[frontend.secure]
listen  = ":8443"
mode    = "tcp"
backend = "secure"

[backend.secure.tls]

[[backend.secure.server]]
name = "secure"
tcp  = "secure.test:9443"
TOML
chmod -R a+rX "$etc"
chmod a+x "$work"
[[ $(once version) == mcplb* ]] || fail "version"
once -t || fail "the configuration is not valid there"
# ends STATUS ARGUMENT...: the image ends with that status.
ends() {
  local wanted=$1 status=0
  shift
  "$@" > "$work/output" 2>&1 || status=$?
  [ "$status" = "$wanted" ] || fail "exit status $status, not $wanted: $(cat "$work/output")"
}
etc=$work/$engine.wrong
mkdir "$etc"
sed 's/mode    = "mcp"/mode    = "mpc"/' "$work/$engine.etc/lb.toml" > "$etc/lb.toml"
chmod -R a+rX "$etc"
ends 2 once -t
grep -q 'lb.toml:9: frontend.mcp.mode' "$work/output" || fail "the mistake is not named: $(cat "$work/output")"
ends 2 once -c /etc/mcplb
etc=$work/$engine.etc

say "run"
"$work/bin/mcpnode" -name node1 -tcp :9001 -http :9002 2> "$work/node.log" &
# An authority among the roots, and a server that it has certified.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout "$work/ca.key" -out "$work/ca.pem" 2> /dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=secure.test -keyout "$work/key.pem" 2> /dev/null |
  openssl x509 -req -days 2 -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -extfile <(echo subjectAltName=DNS:secure.test) -out "$work/cert.pem" 2> /dev/null
openssl s_server -quiet -accept 9443 -cert "$work/cert.pem" -key "$work/key.pem" -WWW > /dev/null 2>&1 &
secure=$!
cat "$work/image/etc/ssl/certs/ca-certificates.crt" "$work/ca.pem" > "$work/roots.pem"
chmod a+r "$work/roots.pem"
e run --detach --name lb "${rights[@]}" "${network[@]}" "${health_options[@]}" --stop-timeout 120 \
  --publish 127.0.0.1:8000:8000 --publish 127.0.0.1:8080:8080 \
  --volume "$etc:/etc/mcplb:ro" --volume "$work/roots.pem:/etc/ssl/certs/ca-certificates.crt:ro" "$image" > /dev/null
pid=$(e inspect --format '{{.State.Pid}}' lb)
usable() { [ "$(e exec lb /mcplb status 2> /dev/null | grep -c '1 of 1 servers usable')" = "$1" ]; }
within 60 usable 2 || fail "the servers, by name and by TLS, are not usable: $(e exec lb /mcplb status 2>&1)"
grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp:)' "/proc/$pid/status"
[ "$(awk '/^(Uid|CapEff|CapBnd|NoNewPrivs)/ {print $2}' "/proc/$pid/status" | xargs)" = "65532 0000000000000000 0000000000000000 1" ] || fail "it has rights"
awk '$5 == "/" {print $6}' "/proc/$pid/mountinfo" | grep '^ro' > /dev/null || fail "its root file system is not read-only"
[ "$(e inspect --format '{{.Image}}' lb | sed 's/^sha256://')" = "$(e image inspect --format '{{.Id}}' "$image" | sed 's/^sha256://')" ] || fail "another image"
[ "$(e image inspect --format '{{.Config.User}}' "$image")" = 65532:65532 ] || fail "the image's user"

say "TCP and HTTP, at its address and at the published ports"
initialize='{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}'
for host in "$address" 127.0.0.1; do
  exec 7<> "/dev/tcp/$host/8000"
  printf '%s\n' "$initialize" >&7
  IFS= read -r -t 20 answer <&7 || fail "no answer by TCP at $host"
  [[ $answer == *serverInfo* ]] || fail "the answer by TCP at $host: $answer"
  exec 7>&-
  curl --silent --show-error --max-time 20 --header 'Content-Type: application/json' --header 'Accept: application/json, text/event-stream' \
    --data "$initialize" "http://$host:8080/mcp" | grep serverInfo > /dev/null || fail "no answer by HTTP at $host"
done

say "health check"
# health WORD: Docker's own timer asks; podman's is systemd's, so this asks.
health() {
  [ "$engine" = docker ] || e healthcheck run lb > /dev/null 2>&1 || true
  [ "$(e inspect --format '{{.State.Health.Status}}' lb)" = "$1" ]
}
within 30 health healthy || fail "it is not healthy: $(e inspect --format '{{json .State.Health}}' lb)"
kill "$secure"
within 60 usable 1 || fail "the server that has ended is still usable"
e exec lb /mcplb status -alive > /dev/null || fail "a server has ended, and -alive fails"
health healthy || fail "a server has ended, and the container is unhealthy"
e kill --signal STOP lb > /dev/null
within 60 health unhealthy || fail "it does not answer, and is not unhealthy: $(e inspect --format '{{json .State.Health}}' lb)"
e kill --signal CONT lb > /dev/null
within 60 health healthy || fail "it answers again, and is not healthy: $(e inspect --format '{{json .State.Health}}' lb)"

say "HUP"
exec 7<> "/dev/tcp/$address/8000"
# answers MESSAGE PART: the client that has been connected since the beginning gets an answer that has the part.
answers() {
  local answer
  printf '%s\n' "$1" >&7
  IFS= read -r -t 20 answer <&7 || fail "the client has lost its connection"
  [[ $answer == *"$2"* ]] || fail "the client got $answer"
}
pings() { answers "{\"jsonrpc\":\"2.0\",\"id\":$1,\"method\":\"ping\"}" "\"id\":$1"; }
answers "$initialize" serverInfo
sed -i 's/:8443/:8444/' "$etc/lb.toml"
e kill --signal HUP lb > /dev/null
listens() { (exec 3<> "/dev/tcp/$address/$1") 2> /dev/null; }
within 30 listens 8444 || fail "the file of the reload is not in force"
pings 2

say "USR2 is refused"
e kill --signal USR2 lb > /dev/null
refused() { e logs lb 2>&1 | grep 'first process of its container'; }
within 30 refused || fail "the log does not say that there is no upgrade"
pings 3
listens 8000 || fail "it accepts no client any more"
[ "$(e inspect --format '{{.State.Pid}} {{.State.Running}}' lb)" = "$pid true" ] || fail "the container has ended"

say "stop"
e stop lb > /dev/null 7>&- &
stopping=$!
deaf() { ! listens 8000; }
within 30 deaf || fail "a new client is accepted although it stops"
for id in 4 5 6; do
  sleep 0.5 # the client is one that takes its time
  pings "$id"
done
exec 7>&-
wait "$stopping" || fail "$engine stop"
[ "$(e inspect --format '{{.State.ExitCode}}' lb)" = 0 ] || fail "exit status $(e inspect --format '{{.State.ExitCode}}' lb)"
[ -z "$(e logs lb 2> /dev/null)" ] || fail "the log is on standard output"
e logs lb 2>&1 | grep 'msg=serving' > /dev/null || fail "the log is not on standard error"
e rm lb > /dev/null
e network rm mcplb-image-test > /dev/null

say "mcpcluster compose"
cluster=$work/$engine.cluster
"$work/bin/mcpcluster" compose -bin "$work/bin" -o "$cluster" > /dev/null
compose() { docker-compose --project-name mcplb-image-test --file "$cluster/docker-compose.yml" "$@"; }
compose config --quiet || fail "docker-compose refuses the file"
sed 's/read_only: true/read_olny: true/' "$cluster/docker-compose.yml" > "$cluster/wrong.yml"
! quiet docker-compose --file "$cluster/wrong.yml" config --quiet || fail "docker-compose accepts anything"
if ! (ulimit -Hn 250000) 2> /dev/null; then
  echo "this machine does not allow 250000 open files: 20000 (and podman's own limit of processes)"
  sed -i 's/nofile: 250000/nofile: 20000\n      nproc: 4000/' "$cluster/docker-compose.yml"
fi
compose up --detach --build > "$work/compose.log" 2>&1 || fail "docker-compose up: $(tail -n 20 "$work/compose.log")"
container() { compose ps --quiet "$1"; }
lb=$(container mcplb)
# nodes COUNT: so many are usable. The status of a degraded cluster is not 0.
nodes() { [[ $(e exec "$lb" /mcplb status -c /lb.toml 2> /dev/null || true) == *"$1 of 4 servers usable"* ]]; }
within 60 nodes 4 || fail "the nodes are not usable: $(e exec "$lb" /mcplb status -c /lb.toml 2>&1)"
for service in mcplb:10 node1:11 node2:12 node3:13 node4:14; do
  found=$(e inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} {{.HostConfig.ReadonlyRootfs}} {{.Config.User}}' "$(container "${service%:*}")")
  echo "$service: $found"
  [ "$found" = "172.25.0.${service#*:} true 65532:65532" ] || fail "that is not its address, not read-only or root"
done
# asks: a client of the published ports gets an answer by HTTP.
asks() {
  curl --silent --max-time 20 --header 'Content-Type: application/json' --header 'Accept: application/json, text/event-stream' \
    --data "$initialize" http://127.0.0.1:8080/mcp | grep serverInfo > /dev/null
}
asks || fail "no answer by HTTP"
exec 7<> /dev/tcp/127.0.0.1/8000
answers "$initialize" serverInfo
exec 7>&-
e stop "$(container node2)" > /dev/null
within 60 nodes 3 || fail "node2 has ended and is usable"
for _ in 1 2 3 4 5 6 7 8; do asks || fail "node2 has ended, and a client has no answer"; done
e exec "$lb" /mcplb status -alive -c /lb.toml > /dev/null || fail "the health check of the image"
compose down > "$work/compose.log" 2>&1 || fail "docker-compose down: $(tail -n 20 "$work/compose.log")"
say "passed"
