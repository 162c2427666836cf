#!/usr/bin/env bash
# Tests the Debian package in a fresh Debian root: packaging/deb/test.sh
#
# Without systemd: it installs, starts mcplb as the unit does, upgrades while a client is connected, removes, and purges,
# which must leave nothing. Under systemd, which runs in namespaces: it installs, reloads and upgrades while a client is
# connected, with a good file and with a broken one, stops while a client is connected, which is served until it leaves or
# hard_stop_after is over, and purges. lintian must find no error.
#
# Needs root, Go, debootstrap, lintian, util-linux and the network. ROOT names a directory that debootstrap
# --variant=minbase has made; without it one is made for this test. The other control groups are left alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "$0: chroot needs root" >&2; exit 1; }

work=$(mktemp -d /tmp/mcplb-deb.XXXXXX)
root=$work/root
balancer= node= booted=
# The control group of the systemd under test, in the hierarchy of the systemd of this machine.
cgroup=/sys/fs/cgroup/systemd
[ -e /sys/fs/cgroup/cgroup.controllers ] && cgroup=/sys/fs/cgroup
cgroup=$cgroup/mcplb-deb.$$
finish() {
  for pid in $balancer $node $booted $(cat "$root/tmp/mcplb.pid" 2> /dev/null); do kill -KILL "$pid" 2> /dev/null || true; done
  wait
  umount "$root/proc" 2> /dev/null || true
  [ ! -d "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} \; || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }
fail() {
  echo "FAILED: $*" >&2
  tail -n 20 "$work/log" "$work/node.log" >&2 || true
  [ -z "$booted" ] || under journalctl --no-pager -u mcplb -n 40 >&2 || true
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
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
# boot: systemd in the root, as the first process of namespaces and of a control group; booted is its process id.
boot() {
  mkdir "$cgroup"
  cat > "$work/boot" << 'BOOT'
set -e
cd "$1"
mount --bind . .
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ "$2" = 2 ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mount -t tmpfs tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
mount -t tmpfs tmpfs run
mount --rbind /dev dev
exec chroot . /usr/bin/env -i container=mcplb PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-target=console
BOOT
  local version=1
  [ "${cgroup%/*}" = /sys/fs/cgroup ] && version=2
  (echo "$BASHPID" > "$cgroup/cgroup.procs" && exec unshare --mount --propagation private --pid --fork --kill-child --cgroup --uts --ipc --net bash "$work/boot" "$root" "$version") \
    > "$work/boot.log" 2>&1 < /dev/null &
  local outer=$!
  within 100 pgrep -P "$outer" > /dev/null || fail "systemd does not start: $(cat "$work/boot.log")"
  booted=$(pgrep -P "$outer")
  within 600 up || fail "systemd does not come up: $(cat "$work/boot.log")"
}
# under COMMAND: executes it beside the systemd under test.
under() { nsenter -t "$booted" -m -p -n -i -u -r -w /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
up() { case $(under systemctl is-system-running 2> /dev/null) in running | degraded) ;; *) return 1 ;; esac; }
main_pid() { under systemctl show --property=MainPID --value mcplb; }
# runs_under VERSION: that version serves, as systemd's. The status of what serves nobody is an error, too.
runs_under() {
  local status
  status=$(under mcplb status -json 2> /dev/null) || true
  [[ $status == *"\"version\": \"$1\""* || $status == *"\"version\": \"mcplb $1"* ]]
}
usable() {
  local status
  status=$(under mcplb status 2> /dev/null) || true
  [[ $status == *"1 of 1 servers usable"* ]]
}
released() { ! under bash -c 'exec 3<> /dev/tcp/127.0.0.1/8080' 2> /dev/null; }
# serving: the process that serves now.
serving() { cat "$root/tmp/mcplb.pid"; }
# runs VERSION: that version serves.
runs() { inside mcplb status -json -c /etc/mcplb/lb.toml 2> /dev/null | grep -q "\"version\": \"mcplb $1\|\"version\": \"$1\""; }
# echoes ID: the client that has been connected since the beginning gets an answer.
echoes() {
  local answer
  printf '{"jsonrpc":"2.0","id":%d,"method":"ping"}\n' "$1" >&7
  IFS= read -r -t 10 answer <&7 || fail "the client that was connected has lost its connection"
  [[ $answer == *"\"id\":$1"* ]] || fail "the client got $answer"
}
# connect: a client beside the systemd under test, which stays connected until disconnect or until it is cut; 7 and 8 are its
# two directions.
connect() {
  coproc client { under bash -c 'exec 9<> /dev/tcp/127.118.0.1/8000; cat <&9 & reader=$!; cat <&0 >&9 & wait -n; kill $reader $! 2> /dev/null; wait'; }
  client_pid=$client_PID client_input=${client[1]}
  exec 7>&"$client_input" 8<&"${client[0]}"
  answers '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}' serverInfo
}
disconnect() {
  exec 7>&- 8<&-
  eval "exec $client_input>&-"
  wait "$client_pid" || true
}
# answers MESSAGE PART: the client that is connected sends a message, and gets an answer that has the part.
answers() {
  local answer
  printf '%s\n' "$1" >&7
  IFS= read -r -t 10 answer <&8 || fail "the client has lost its connection"
  [[ $answer == *"$2"* ]] || fail "the client got $answer"
}
pings() { answers "{\"jsonrpc\":\"2.0\",\"id\":$1,\"method\":\"ping\"}" "\"id\":$1"; }
# stop_behind: stops the service in the background, as the process stopping, which must not keep the client's input open.
stop_behind() {
  (exec 7>&- 8<&- && eval "exec $client_input>&-" && under systemctl stop mcplb) &
  stopping=$!
}
refuses() { ! under bash -c 'exec 3<> /dev/tcp/127.118.0.1/8000' 2> /dev/null; }
files() { find "$root" -xdev \( -path "$root/proc" -o -path "$root/tmp" -o -path "$root/var/lib/dpkg" -o -path "$root/var/log" -o -path "$root/deb" \) -prune -o -print | sort; }

say "two versions of the package"
for version in 0.0.1 0.0.2; do VERSION=$version packaging/deb.sh "$work/deb"; done
old=$(echo "$work"/deb/mcplb_0.0.1_*.deb) new=$(echo "$work"/deb/mcplb_0.0.2_*.deb)
CGO_ENABLED=0 go build -trimpath -o "$work/" ./cmd/mcpnode

say "lintian"
lintian --fail-on error,warning --allow-root "$new" && echo "no errors, no warnings"

say "a fresh root"
if [ -n "${ROOT:-}" ]; then cp -a "$ROOT" "$root"; else debootstrap --variant=minbase "${SUITE:-bookworm}" "$root" "${MIRROR:-http://deb.debian.org/debian}" > "$work/debootstrap.log"; fi
mount -t proc proc "$root/proc"
mkdir "$root/deb"
cp "$old" "$root/deb/old.deb"
cp "$new" "$root/deb/new.deb"
files > "$work/before"

say "install"
inside dpkg -i /deb/old.deb
inside mcplb -t -c /etc/mcplb/lb.toml
inside mcplb version
[ "$(inside dpkg --verify mcplb)" = "" ] || fail "dpkg --verify"
[ -L "$root/etc/systemd/system/multi-user.target.wants/mcplb.service" ] || fail "the service is not enabled"

say "start"
"$work/mcpnode" -name node1 -tcp 127.118.0.11:9001 -http 127.118.0.11:8080 2> "$work/node.log" &
node=$!
cat > "$root/etc/mcplb/lb.toml" << 'TOML'
# The operator's own.
[admin]
listen = "127.118.0.1:8404"

[frontend.mcp]
listen  = "127.118.0.1:8000"
mode    = "mcp"
backend = "nodes"

[backend.nodes.check]
type = "mcp"

[[backend.nodes.server]]
name = "node1"
tcp  = "127.118.0.11:9001"
http = "127.118.0.11:8080"
TOML
cp "$root/etc/mcplb/lb.toml" "$work/lb.toml"
# What the unit executes, as a user without rights.
read -r -a command <<< "$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/mcplb.service")"
chroot --userspec=nobody:nogroup "$root" "${command[@]}" -pid-file /tmp/mcplb.pid 2> "$work/log" &
balancer=$!
within 100 runs 0.0.1 || fail "0.0.1 does not serve"
exec 7<> /dev/tcp/127.118.0.1/8000
printf '%s\n' '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}' >&7
IFS= read -r -t 10 answer <&7 || fail "no answer to initialize"
[[ $answer == *serverInfo* ]] || fail "the answer to initialize is $answer"
echoes 2

say "upgrade without systemd: the running process goes on until the operator sends USR2"
first=$(serving)
inside dpkg -i /deb/new.deb
cmp "$work/lb.toml" "$root/etc/mcplb/lb.toml" || fail "the upgrade has changed the configuration"
[ "$(serving)" = "$first" ] && runs 0.0.1 || fail "0.0.1 does not serve any more"
echoes 3
kill -USR2 "$first"
within 300 runs 0.0.2 || fail "0.0.2 does not serve"
echoes 4

say "stop, remove, purge"
exec 7>&-
pid=$(serving)
kill -TERM "$pid"
gone() { ! kill -0 "$pid" 2> /dev/null; }
within 300 gone || fail "TERM does not end it"
mkdir -p "$root/var/log/mcplb"
touch "$root/var/log/mcplb/access.log"
inside dpkg --remove mcplb
cmp "$work/lb.toml" "$root/etc/mcplb/lb.toml" || fail "removal has taken the configuration away"
inside dpkg --purge mcplb
files > "$work/after"
diff "$work/before" "$work/after" || fail "purging has left or taken something"
[ ! -e "$root/var/log/mcplb" ] || fail "purging has left the logs"
find "$root/var/lib/dpkg/info" -name 'mcplb.*' | grep . && fail "purging has left dpkg's files"

say "systemd"
umount "$root/proc"
cp /etc/resolv.conf "$root/etc/resolv.conf"
inside apt-get update -qq > "$work/apt.log" && inside apt-get install -qq --no-install-recommends systemd dbus >> "$work/apt.log" 2>&1 || fail "$(cat "$work/apt.log")"
kill "$node"
cp "$work/mcpnode" "$root/deb/mcpnode"
boot
# The first start creates what every system has.
under bash -c 'find / -xdev \( -path /deb -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \) -prune -o -print' | sort > "$work/before"

say "under systemd: install"
under dpkg -i /deb/old.deb
[ "$(under systemctl is-active mcplb)$(under systemctl is-enabled mcplb)" = activeenabled ] || fail "the service is not active and enabled"
runs_under 0.0.1 || fail "0.0.1 does not serve"

say "under systemd: reload"
cp "$work/lb.toml" "$root/etc/mcplb/lb.toml"
sed -i 's/^listen = "127.118.0.1:8404"/listen = "127.0.0.1:8404"/' "$root/etc/mcplb/lb.toml"
under systemctl reload mcplb || fail "systemctl reload"
# Not before: the package's own configuration listens on every address.
within 100 released || fail "the file of the reload is not in force"
under systemd-run --quiet --unit=node /deb/mcpnode -name node1 -tcp 127.118.0.11:9001 -http 127.118.0.11:8080
within 300 usable || fail "the server of the reload is not up"
first=$(main_pid)
connect
under systemctl reload mcplb || fail "systemctl reload with a client"
pings 2
[ "$(main_pid)" = "$first" ] || fail "the reload was a restart"

say "under systemd: an upgrade while the client is connected"
under dpkg -i /deb/new.deb
second=$(main_pid)
[ "$second" != "$first" ] && runs_under 0.0.2 || fail "0.0.2 does not serve when dpkg has ended"
pings 3
[ "$(under systemctl show --property=NRestarts,ActiveState --value mcplb | xargs)" = "0 active" ] || fail "the upgrade was a restart"

say "under systemd: an upgrade with a broken file leaves the old process, and dpkg content"
echo 'no key' >> "$root/etc/mcplb/lb.toml"
under systemctl reload mcplb 2> /dev/null && fail "systemctl reload takes a broken file"
under dpkg -i /deb/old.deb 2>&1 | tee "$work/broken"
grep -q 'still serves' "$work/broken" || fail "postinst does not say that the upgrade has failed"
[ "$(main_pid)" = "$second" ] && runs_under 0.0.2 || fail "0.0.2 does not serve any more"
pings 4
sed -i '$d' "$root/etc/mcplb/lb.toml"
under bash -c "kill -s USR2 $second"
within 300 runs_under 0.0.1 || fail "USR2 after the repair does not upgrade"
pings 5

say "under systemd: stop serves the client that is connected until it leaves"
# A client may stay for longer than the unit's time limit, which mcplb extends.
under mkdir -p /run/systemd/system/mcplb.service.d
under bash -c 'printf "[Service]\nTimeoutStopSec=3\n" > /run/systemd/system/mcplb.service.d/test.conf'
under systemctl daemon-reload
stop_behind
within 100 refuses || fail "a new client is accepted although it stops"
for id in 6 7 8 9 10 11; do
  sleep 1
  pings "$id"
done
state=$(under systemctl is-active mcplb) || true
[ "$state" = deactivating ] && kill -0 "$stopping" || fail "stop has not waited for the client: $state"
disconnect
wait "$stopping" || fail "systemctl stop"
stopped() { [ "$(under systemctl show --property=ActiveState,Result --value mcplb | xargs)" = "$1 inactive" ]; }
stopped success || fail "after the stop: $(under systemctl show --property=ActiveState,Result mcplb)"

say "under systemd: stop cuts the client when hard_stop_after is over"
sed -i '1i [global]\nhard_stop_after = "15s"\n' "$root/etc/mcplb/lb.toml"
under systemctl start mcplb
within 300 usable || fail "the server is not up after the start"
connect
begin=$SECONDS
stop_behind
within 100 refuses || fail "a new client is accepted although it stops"
sleep 4
pings 2
status=0
IFS= read -r -t 60 answer <&8 || status=$?
[ "$status" = 1 ] || fail "the client was not cut: read ended with $status, $answer"
took=$((SECONDS - begin))
[ "$took" -ge 14 ] || fail "the client was cut after $took s of 15"
wait "$stopping" || fail "systemctl stop"
disconnect
stopped success || fail "after the stop: $(under systemctl show --property=ActiveState,Result mcplb)"
echo "cut after $took s"

say "under systemd: what an administrator has stopped stays so; purge"
under rm -r /run/systemd/system/mcplb.service.d
under systemctl daemon-reload
under dpkg -i /deb/new.deb
state=$(under systemctl is-active mcplb) || true
[ "$state" = inactive ] || fail "a service that was stopped is $state after an upgrade"
under systemctl start mcplb
under systemctl stop node
under dpkg --purge mcplb
under systemctl cat mcplb > /dev/null 2>&1 && fail "purging has left the unit"
pgrep --ns "$booted" --nslist pid mcplb && fail "purging has left a process"
under bash -c 'find / -xdev \( -path /deb -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \) -prune -o -print' | sort > "$work/after"
diff "$work/before" "$work/after" || fail "purging has left or taken something"
say "passed"
