#!/usr/bin/env bash
# The two configurations that mcplb replaces, converted and under load: replaced.cfg of
# HAProxy and replaced.conf of nginx, each in front of four nodes of its own addresses,
# 127.94.x.y. Clients of every kind that the configuration serves open their sessions, send
# messages, are silent and send once more; then a node is killed, one restarts at once, and one
# is back after two seconds. The same happens to HAProxy and nginx with the original files, and
# the figures stand side by side.
#
#   testdata/convert/replaced.sh [CLIENTS]     # 1000; needs bin/ of make build, and openssl
#   LOAD=45s testdata/convert/replaced.sh      # how long clients are watched; 12s ends before nginx's fail_timeout does
set -euo pipefail
cd "$(dirname "$0")/../.."
clients=${1:-1000}
watched=${LOAD:-12s}
dir=$(mktemp -d)
failed=0
umask 077

stop() { # the balancer and the nodes, by their ids
	for file in "$dir"/*.pid; do
		if [ -e "$file" ]; then kill "$(cat "$file")" 2>/dev/null || true; fi
		rm -f "$file"
	done
	wait
}
trap 'stop; rm -rf "$dir"' EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=replaced -addext subjectAltName=IP:127.94.0.1 \
	-keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/openssl.log"
cat "$dir/cert.pem" "$dir/key.pem" >"$dir/site.pem"

cp cmd/mcplb/convert/testdata/nginx/mime.types "$dir"
cat >"$dir/node" <<-'END'
	#!/bin/sh
	n=$1 dir=${0%/*}
	echo $$ >"$dir/node$n.pid"
	exec bin/mcpnode -name "node$n" -tcp "127.94.0.1$n:900$n" -http "127.94.0.1$n:808$((n - 1))" -sse "127.94.0.1$n:808$n" -log-level error >>"$dir/nodes.log" 2>&1
END
chmod +x "$dir/node"

await() { # HOST PORT: until it is listened on
	for _ in $(seq 300); do
		if (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; then return; fi
		sleep 0.1
	done
	echo "nobody listens on $1:$2" >&2
	return 1
}

# edited FILE EDIT: the file with addresses of this test
edited() { sed -E "$2; s/127\.0\.0\.(1[1-4]):/127.94.0.\1:/" "$1"; }

# start COMMAND: four nodes and the balancer, as the command runs it
start() {
	for n in 1 2 3 4; do "$dir/node" $n & done
	for n in 1 2 3 4; do await "127.94.0.1$n" "900$n"; done
	"$@" >>"$dir/balancer.log" 2>&1 &
	echo $! >"$dir/balancer.pid"
	await 127.94.0.1 8080
	sleep 4 # until the checks have had their say
}

# load NAME TITLE FLAGS...: clients of $mix on the balancer that runs; the report is NAME.json
load() {
	local name=$1 title=$2
	shift 2
	bin/mcpload run -n "$clients" -rate 500 -mix "$mix" -tcp 127.94.0.1:8000 -http 127.94.0.1:8080 -https 127.94.0.1:8443 -insecure \
		-from 127.94.128.0/17 -sources 500 -monitor 1s -quiet -title "$title" -json "$dir/$name.json" "$@"
}

# scenario NAME TITLE REPAIR FLAGS...: node2 is killed, and the shell command behind it executed
scenario() {
	load "$1" "$2" -load "$watched" -fault-node node2 -fault-at 3s -fault "kill -9 $(cat "$dir/node2.pid"); $3" "${@:4}"
}

restarted="'$dir/node' 2 >/dev/null 2>&1 &"
back="(sleep 2; exec '$dir/node' 2) >/dev/null 2>&1 &"

# converted NAME FLAGS...: load on mcplb with the converted file, and what it shows when a node dies or restarts
converted() {
	local name=$1 command=(bin/mcplb -c "$dir/$1.toml")
	start "${command[@]}"
	load "$name-mcplb" "$name, converted: load" -load 5s -expect-sticky -expect-errors 0 || failed=1
	scenario "$name-mcplb-dies" "$name, converted: a node dies" : -expect-undisturbed -expect-recovery 10s "${@:2}" || failed=1
	stop
	start "${command[@]}"
	scenario "$name-mcplb-restarts" "$name, converted: a node restarts" "$restarted" -expect-undisturbed || failed=1
	stop
	start "${command[@]}"
	scenario "$name-mcplb-returns" "$name, converted: a node is away for 2 s" "$back" -expect-undisturbed || failed=1
	stop
}

# original NAME COMMAND: the same scenarios with the program itself, whatever it shows
original() {
	local name=$1
	if ! command -v "$2" >/dev/null; then
		echo "$2 is not installed: nothing to compare with"
		return
	fi
	start "${@:2}"
	scenario "$name-original-dies" "$name itself: a node dies" : || true
	stop
	start "${@:2}"
	scenario "$name-original-restarts" "$name itself: a node restarts" "$restarted" || true
	stop
	start "${@:2}"
	scenario "$name-original-returns" "$name itself: a node is away for 2 s" "$back" || true
	stop
}

# try NAME FILE EDIT MIX FLAGS...: converts FILE, edited
try() {
	local name=$1
	mix=$4
	edited "$2" "$3" >"$dir/$name.in"
	bin/mcplb convert "$dir/$name.in" >"$dir/$name.toml"
	bin/mcplb -c "$dir/$name.toml" -t
	converted "$name" "${@:5}"
}

# figure KEY FILE: a figure of the fault of a report
figure() { sed -n '/"fault": {/,/^  }/s/^ *"'"$1"'": \([0-9.]*\).*/\1/p' "$2" | head -n 1; }

# compare NAME: what the balancers lost
compare() {
	local what who report
	for what in dies restarts returns; do
		for who in mcplb original; do
			report="$1-$who-$what"
			[ -e "$dir/$report.json" ] || continue
			printf '%-26s %5d of %5d sessions lost, %4d again, %4d of other clients, at most %5.2f s without a session\n' "$report" \
				"$(figure lost "$dir/$report.json")" "$(figure before "$dir/$report.json")" "$(figure again "$dir/$report.json")" \
				"$(figure disturbed "$dir/$report.json")" "$(figure recovered "$dir/$report.json")"
		done
	done
}

try haproxy cmd/mcplb/convert/testdata/haproxy/replaced.cfg \
	"s/bind \*:/bind 127.94.0.1:/; s#/etc/haproxy/site.pem#$dir/site.pem#; s/maxconn 100000/maxconn 9000/" \
	tcp=40,http=20,ws=10,sse=10,https=20 -admin 127.94.0.1:8404 -expect-failover 8s
original haproxy haproxy -db -f "$dir/haproxy.in"
try nginx cmd/mcplb/convert/testdata/nginx/replaced.conf \
	"s/listen ([0-9]+);/listen 127.94.0.1:\1;/; s/worker_connections 65536/worker_connections 9000/; s/worker_rlimit_nofile 262144/worker_rlimit_nofile 20000/" \
	tcp=40,http=30,ws=15,sse=15
sed -i "s#^pid .*#pid $dir/nginx.pid;#; s#^user .*#user root;#" "$dir/nginx.in"
original nginx nginx -e "$dir/nginx.log" -p "$dir" -c "$dir/nginx.in" -g 'daemon off;'
printf '\nWhat a node of four costs that dies, restarts at once, or is away for 2 s, with the converted file and with the original:\n'
compare haproxy
compare nginx
echo 'Again: clients of the node that had opened another session elsewhere, and lost it when the hash of their source sent them
back. sticky.session = true keeps every session where it is (docs/convert.md).'
exit "$failed"
