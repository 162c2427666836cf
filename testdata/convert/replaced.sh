#!/usr/bin/env bash
# The two configurations that mcplb replaces, converted and under load: replaced.cfg of
# HAProxy and replaced.conf of nginx, each in front of four nodes of its own addresses,
# 127.94.x.y. Clients of every kind that the configuration serves open their sessions, send
# messages, are silent and send once more; in a second run a node is killed. It does not come
# back: then both configurations, as the originals, send sessions of HTTP by the hash of the
# source to it, which it does not know.
#
#   testdata/convert/replaced.sh [CLIENTS]     # 1000; needs bin/ of make build, and openssl
set -euo pipefail
cd "$(dirname "$0")/../.."
clients=${1:-1000}
dir=$(mktemp -d)
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

# try NAME FILE EDIT MIX FLAGS...: converts FILE, edited, and puts load of MIX on it
try() {
	local name=$1 file=$2 edit=$3 mix=$4
	shift 4
	sed -E "$edit; s/127\.0\.0\.(1[1-4]):/127.94.0.\1:/" "$file" >"$dir/$name.in"
	bin/mcplb convert "$dir/$name.in" >"$dir/$name.toml"
	bin/mcplb -c "$dir/$name.toml" -t
	for n in 1 2 3 4; do "$dir/node" $n & done
	for n in 1 2 3 4; do await "127.94.0.1$n" "900$n"; done
	bin/mcplb -c "$dir/$name.toml" >"$dir/$name.log" 2>&1 &
	echo $! >"$dir/balancer.pid"
	await 127.94.0.1 8080
	local run=(bin/mcpload run -n "$clients" -rate 500 -mix "$mix" -tcp 127.94.0.1:8000 -http 127.94.0.1:8080 -https 127.94.0.1:8443 -insecure
		-from 127.94.128.0/17 -sources 500 -monitor 1s -quiet)
	"${run[@]}" -title "$name: load" -load 5s -expect-sticky -expect-errors 0
	"${run[@]}" -title "$name: a node dies" -load 12s -fault-node node2 -fault-at 3s \
		-fault "kill -9 $(cat "$dir/node2.pid")" -expect-undisturbed -expect-recovery 10s "$@"
	stop
}

try haproxy cmd/mcplb/convert/testdata/haproxy/replaced.cfg \
	"s/bind \*:/bind 127.94.0.1:/; s#/etc/haproxy/site.pem#$dir/site.pem#; s/maxconn 100000/maxconn 9000/" \
	tcp=40,http=20,ws=10,sse=10,https=20 -admin 127.94.0.1:8404 -expect-failover 8s
try nginx cmd/mcplb/convert/testdata/nginx/replaced.conf \
	"s/listen ([0-9]+);/listen 127.94.0.1:\1;/" \
	tcp=40,http=30,ws=15,sse=15
