#!/usr/bin/env bash
# Tests the Debian package in a fresh Debian root: packaging/deb/test.sh
#
# It installs, starts mcplb as the unit does, upgrades while a client is connected, with and without systemd, goes back to the
# old version, removes, and purges, which must leave nothing. Then lintian must find no error.
#
# Needs root, Go, debootstrap, lintian and the network. ROOT names a directory that debootstrap --variant=minbase has made;
# without it one is made for this test. There is no systemd in the root: a stub of systemctl stands for it.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "$0: chroot needs root" >&2; exit 1; }

work=$(mktemp -d /tmp/mcplb-deb.XXXXXX)
root=$work/root
balancer= node=
finish() {
  for pid in $balancer $node $(cat "$root/tmp/mcplb.pid" 2> /dev/null); do kill -KILL "$pid" 2> /dev/null || true; done
  umount "$root/proc" 2> /dev/null || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }
fail() {
  echo "FAILED: $*" >&2
  tail -n 20 "$work/log" >&2 || true
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
files() { find "$root" -xdev \( -path "$root/proc" -o -path "$root/tmp" -o -path "$root/var/lib/dpkg" -o -path "$root/var/log" -o -path "$root/deb" \) -prune -o -print | sort; }

say "two versions of the package"
for version in 0.0.1 0.0.2; do VERSION=$version packaging/deb.sh "$work/deb"; done
old=$(echo "$work"/deb/mcplb_0.0.1_*.deb) new=$(echo "$work"/deb/mcplb_0.0.2_*.deb)
CGO_ENABLED=0 go build -trimpath -o "$work/" ./cmd/mcpnode

say "lintian"
lintian --fail-on error --allow-root "$new"

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
"$work/mcpnode" -name node1 -tcp 127.77.0.11:9001 -http 127.77.0.11:8080 2> "$work/node.log" &
node=$!
cat > "$root/etc/mcplb/lb.toml" << 'TOML'
# The operator's own.
[admin]
listen = "127.77.0.1:8404"

[frontend.mcp]
listen  = "127.77.0.1:8000"
mode    = "mcp"
backend = "nodes"

[backend.nodes.check]
type = "mcp"

[[backend.nodes.server]]
name = "node1"
tcp  = "127.77.0.11:9001"
http = "127.77.0.11:8080"
TOML
cp "$root/etc/mcplb/lb.toml" "$work/lb.toml"
# What the unit executes, as a user without rights.
read -r -a command <<< "$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/mcplb.service")"
chroot --userspec=nobody:nogroup "$root" "${command[@]}" -pid-file /tmp/mcplb.pid 2> "$work/log" &
balancer=$!
within 100 runs 0.0.1 || fail "0.0.1 does not serve"
exec 7<> /dev/tcp/127.77.0.1/8000
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

say "back to the old version, under what looks like systemd: postinst sends USR2"
mkdir -p "$root/run/systemd/system" "$root/usr/local/sbin"
cat > "$root/usr/local/sbin/systemctl" << 'STUB'
#!/bin/sh
echo "systemctl $*" >> /tmp/systemctl.log
case "$*" in
*is-active*) kill -0 "$(cat /tmp/mcplb.pid)" ;;
*USR2*) kill -USR2 "$(cat /tmp/mcplb.pid)" ;;
esac
STUB
chmod 755 "$root/usr/local/sbin/systemctl"
inside dpkg -i /deb/old.deb
within 300 runs 0.0.1 || fail "0.0.1 does not serve: $(cat "$root/tmp/systemctl.log")"
echoes 5
rm -r "$root/run/systemd" "$root/usr/local/sbin/systemctl"

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
say "passed"
