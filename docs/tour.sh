#!/usr/bin/env bash
# The tour of mcplb: it starts the demonstration (or uses the one that make run has started), shows in turn what the README
# claims, each step with its commands and their output, and ends with an error if anything is not as it should be.
#
#   make tour            (make build, then this script)
#
# It needs bash, curl, and what make build makes. A test runs it with
#   TOUR_DIR   the directory that has bin/ (default: the repository)
#   TOUR_NET   the first three numbers of the addresses (default: 127.0.0)
# and TMPDIR, below which the cluster's state is.
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "${TOUR_DIR:-$root}" || exit 1
net=${TOUR_NET:-127.0.0}
flooder=127.150.0.1                 # the demonstration's limits exempt the rest of this machine
export MCPLB_ADMIN="$net.1:8404"    # where bin/mcplb finds the balancer
work=$(mktemp -d)
started='' backup='' output='' status=0

fail() {
  printf '\ntour: FAILED: %s\n' "$*" >&2
  exit 1
}

# leave runs at the end, however it comes: it restores what the tour has changed.
leave() {
  local code=$?
  trap - EXIT
  if [ -n "$started" ]; then
    bin/mcpcluster stop || code=1
  elif [ -n "$backup" ]; then
    cp "$work/before.toml" "$backup" && bin/mcplb reload > "$work/log" 2>&1
  fi
  rm -rf "$work"
  [ "$code" != 0 ] || printf '\nThe tour ends well, after %d s.\n' "$SECONDS"
  exit "$code"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() { printf '\n\n== %s\n' "$*"; }

# try shows and runs a command. Its output is in $output, its exit status in $status.
try() {
  printf '\n$ %s\n' "$1"
  output=$(eval "$1" 2>&1)
  status=$?
  [ -z "$output" ] || printf '%s\n' "$output"
}

# expect fails unless the last output matches a pattern (of grep -E).
expect() { grep -Eq -- "$1" <<< "$output" || fail "expected $1"; }

# expect_status fails unless the last command ended so.
expect_status() { [ "$status" = "$1" ] || fail "exit status $status, expected $1"; }

# until_seen repeats a command quietly until its output matches a pattern, for a minute, and shows it once.
until_seen() {
  local end=$((SECONDS + 60))
  until output=$(eval "$1" 2>&1); status=$?; grep -Eq -- "$2" <<< "$output"; do
    [ $SECONDS -lt $end ] || break
    sleep 0.1
  done
  printf '\n$ %s\n%s\n' "$1" "$output"
  expect "$2"
}

# The MCP messages of the tour, a line each.
hello='{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"tour","version":"1"}}}'
ready='{"jsonrpc":"2.0","method":"notifications/initialized"}'
ping='{"jsonrpc":"2.0","id":3,"method":"ping"}'
whoami='{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"whoami","arguments":{}}}'

# ask opens an MCP session over raw TCP and asks which node it has reached.
ask() {
  exec 3<> "/dev/tcp/$net.1/8000" || return 1
  printf '%s\n' "$hello" "$ready" "$whoami" >&3
  IFS= read -r -t 60 answer <&3 && IFS= read -r -t 60 answer <&3
  exec 3>&-
  grep -o 'node[0-9]' <<< "$answer"
}

# post sends an MCP request over HTTP, or HTTPS with a certificate that nobody signed.
post() {
  curl -sk --max-time 60 "$1" -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d "$2"
}

# balancer is the process that serves.
balancer() { bin/mcplb status | sed -n '1s/.* pid \([0-9]*\) .*/\1/p'; }

for program in curl sed grep; do
  command -v "$program" > /dev/null || fail "$program is missing: install it (apt-get install $program)"
done
[ -x bin/mcpcluster ] || fail 'bin/mcpcluster is missing: make build'

step "A cluster: four MCP nodes, and mcplb in front of them"
if bin/mcpcluster status > "$work/log" 2>&1; then
  printf '\nA cluster runs already (make run): the tour uses it.\n'
else
  file=''
  if [ "$net" != 127.0.0 ]; then
    file=$work/lb.toml
    (cd "$work" && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj "/CN=$net.1" -keyout lb.key -out lb.pem) > "$work/log" 2>&1 ||
      fail "no certificate: $(cat "$work/log")"
    sed -e "s/\"127\.0\.0\.1/\"$net.1/" -e "s/\":8000\"/\"$net.1:8000\"/" -e "s#\"lb\.#\"$work/lb.#g" "$root/cmd/mcpcluster/demo.toml" > "$file"
  fi
  started=yes
  try "bin/mcpcluster start ${file:+-c $file}"
  expect_status 0
fi
until_seen 'bin/mcpcluster status' 'healthy: 4 of 4 nodes up'

step "MCP over raw TCP: the same client reaches the same node"
try ask
expect '^node[1-4]$'
node=$output
until_seen ask "^$node\$"

step "MCP over HTTP and HTTPS"
try "post http://$net.1:8080/mcp '$hello'"
expect '"serverInfo"'
try "post https://$net.1:8443/mcp '$hello'"
expect '"serverInfo"'

step "What the balancer knows: status, health, metrics"
until_seen 'bin/mcplb status' '  HEALTHY$'
expect_status 0
try "curl -s $net.1:8888/health"
expect '^ok$'
try "curl -s $net.1:8404/metrics | grep ^mcplb_server_connections_total"
expect "server=\"$node\"} [1-9]"

step "Drain: $node gets no new clients"
try "bin/mcplb drain $node -reason 'disk swap'"
expect 'ready -> drain'
try 'bin/mcplb status | grep -A1 NOTICE'
expect "$node is in drain \(disk swap, by "
try ask
expect '^node[1-4]$'
[ "$output" != "$node" ] || fail "$node got a client while it drains"
try "bin/mcplb ready $node"
expect 'drain -> ready'
until_seen ask "^$node\$"

step "A node dies: its clients reach others. It returns: they come back"
try "bin/mcpcluster kill $node"
expect "$node .*ended"
try ask
expect '^node[1-4]$'
[ "$output" != "$node" ] || fail "$node is dead, and answers"
until_seen 'bin/mcplb status | head -4' "server nodes/$node is down"
try "bin/mcpcluster restart $node"
expect "$node .*ready"
until_seen 'bin/mcplb status | head -1' 'HEALTHY'
until_seen ask "^$node\$"

step "Reload: a mistake changes nothing, and is named with its line"
backup=$(bin/mcplb status -json | sed -n 's/.*"config_path": "\(.*\)",*$/\1/p')
[ -f "$backup" ] || fail "the configuration is not at $backup"
cp "$backup" "$work/before.toml"
exec 5<> "/dev/tcp/$net.1/8000" || fail 'no connection'
printf '%s\n' "$hello" "$ready" >&5
IFS= read -r -t 60 answer <&5 || fail 'no session'
printf '\nA session is open from here on, over reload and upgrade.\n'
try "sed -i 's/^mode    = \"mcp\"/mode    = \"mpc\"/' $backup; bin/mcplb reload"
expect 'frontend.tcp.mode: .*did you mean "mcp"'
expect_status 1
try "sed -i 's/^mode    = \"mpc\"/mode    = \"mcp\"\ntimeout_client = \"600s\"/' $backup; bin/mcplb reload"
expect '^reloaded: .*tcp'
expect_status 0

step "Upgrade: a new process takes over every connection"
before=$(balancer)
try "kill -USR2 $before"
end=$((SECONDS + 60))
until now=$(balancer) && [ -n "$now" ] && [ "$now" != "$before" ]; do
  [ $SECONDS -lt $end ] || fail "process $before still serves"
  sleep 0.1
done
until bin/mcpcluster status | grep -Eq "mcplb +$now "; do # it follows a moment later
  [ $SECONDS -lt $end ] || break
  sleep 0.1
done
try 'bin/mcpcluster status'
expect "mcplb +$now "
printf '\nThe session that was open before asks which node it is on:\n'
try "printf '%s\n' '$whoami' >&5; IFS= read -r -t 60 answer <&5; grep -o 'node[0-9]' <<< \"\$answer\""
expect "^$node\$"
exec 5>&-

step "A flood from one address is limited; others notice nothing"
try "yes '$ping' | head -2000 | curl -s --max-time 4 --interface $flooder telnet://$net.1:8000 | grep -c result"
expect '^[0-9]+$'
{ [ "$output" -gt 0 ] && [ "$output" -lt 1000 ]; } || fail "$output of 2000 messages at once were answered, within 4 s: it should be 200, and 100 per second"
try "bin/mcplb status | grep -A1 '^LIMITED SOURCE'"
expect "^$flooder "
until_seen ask "^$node\$"

step "An operator bans it"
try "bin/mcplb ban $flooder -for 1m"
expect "^$flooder/32: banned for 1m0s"
try "curl -s --interface $flooder http://$net.1:8080/mcp; echo exit status \$?"
expect '^exit status [1-9]'
try 'bin/mcplb bans'
expect "^$flooder/32 +manual"
try "bin/mcplb unban $flooder"
expect 'no longer banned'
