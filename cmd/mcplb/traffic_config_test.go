package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// stage is an mcplb for traffic, with the processes of its upgrades: frontends of
// every mode, servers that answer, and a configuration with many variants.
type stage struct {
	*lineage
	entrances
	extra   string // an address on which some variants listen, too
	servers []stageServer
}

// stageServer is a server of a stage.
type stageServer struct{ lines, http string }

// startStage starts the servers and mcplb with the first variant.
func startStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{entrances: entrances{freeAddress(t), freeAddress(t), freeAddress(t)}, extra: freeAddress(t)}
	for range 4 {
		s.servers = append(s.servers, stageServer{startEcho(t), startTrafficNode(t)})
	}
	binary := filepath.Join(binaries, "mcplb")
	s.lineage = &lineage{balancer: &balancer{nil, newSetup(t)}, binary: binary, pidFile: filepath.Join(t.TempDir(), "pid")}
	s.writeVariant(t, 0)
	s.process = startProcess(t, exec.Command(binary, "-c", s.path, "-pid-file", s.pidFile))
	t.Cleanup(s.killAll)
	s.await(t, `\bserving\b`)
	return s
}

// shape is the difference of a variant from the first file of the stage. No difference
// may affect a client.
type shape struct {
	global, ratelimit, frontends, http, backend, check, tables string

	tcpMode    string // the mode of the tcp frontend; "" = tcp
	tcpName    string // the name of the tcp frontend; "" = tcp
	httpName   string // the name of the http frontend; "" = http
	pool       string // the name of the backend; "" = nodes
	servers    []int  // indices of the configured servers; nil = all but the last
	addressOf2 int    // the server whose addresses the second one has; 0 = the second's
	weight     int    // of the first server; 0 = the default
	newAdmin   bool   // the pages are on another port
}

// variants are the shapes, which are applied in turn, repeatedly.
func (s *stage) variants() []shape {
	return []shape{
		{},
		{tables: frontendSection("extra", s.extra)},
		{backend: "balance = 'leastconn'\ntimeout_connect = '4s'\ntimeout_tcp_user = '20s'\nslow_start = '1s'", weight: 50},
		{servers: []int{0, 2}},
		{servers: []int{0, 1, 2, 3}, tables: frontendSection("extra", s.extra)},
		{ratelimit: "ban_after = 5\nban_time = '1m'\ntable_size = 1000\nover_message = 'reject'\nmax_connections = 3\nconnection_rate = 50"},
		{http: "max_body = '32m'\ncompress = []\nrequests_per_connection = 100000\n[[frontend.http.route]]\npath = '/echo'\nendpoint = 'sse'"},
		{global: "log_level = 'debug'\nlog_format = 'json'\nhard_stop_after = '1m'\nmaxconn = 3000"},
		{check: "interval = '500ms'\nfall = 3"},
		{tcpMode: "mcp"},
		{tcpName: "renamed", frontends: "timeout_client = '100s'"},
		{addressOf2: 3},
		{servers: []int{1}, backend: "max_idle = 1\nretries = 1"},
		{newAdmin: true},
		{httpName: "renamed", pool: "others"},
	}
}

// writeVariant replaces the file by shape number i, atomically: a new process may be
// reading it.
func (s *stage) writeVariant(t *testing.T, i int) {
	t.Helper()
	all := s.variants()
	v := all[i%len(all)]
	if v.newAdmin {
		s.admin = freeAddress(t)
	}
	fresh := s.path + ".new"
	if err := os.WriteFile(fresh, []byte(s.text(&v)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, s.path); err != nil {
		t.Fatal(err)
	}
}

// text is the configuration file of a shape.
func (s *stage) text(v *shape) string {
	var text strings.Builder
	fmt.Fprintf(&text, "[global]\n%s\n[admin]\nlisten = '%s'\nhealth_listen = '%s'\n", v.global, s.admin, s.health)
	fmt.Fprintf(&text, "[ratelimit]\nexempt = ['127.0.0.0/8']\n%s\n", v.ratelimit)
	pool := cmp.Or(v.pool, "nodes")
	for _, f := range []struct{ name, address, mode, more string }{
		{cmp.Or(v.tcpName, "tcp"), s.tcp, cmp.Or(v.tcpMode, "tcp"), ""}, {"mcp", s.mcp, "mcp", ""},
		{cmp.Or(v.httpName, "http"), s.http, "http", v.http},
	} {
		fmt.Fprintf(&text, "[frontend.%s]\nlisten = '%s'\nmode = '%s'\nbackend = '%s'\n%s\n%s\n", f.name, f.address, f.mode, pool, v.frontends, f.more)
	}
	fmt.Fprintf(&text, "[backend.%s]\n%s\n[backend.%[1]s.check]\ntimeout = '%[4]s'\n%[3]s\n", pool, v.backend, v.check, patience)
	chosen := v.servers
	if chosen == nil {
		chosen = []int{0, 1, 2}
	}
	for _, i := range chosen {
		at := s.servers[i]
		if i == 1 && v.addressOf2 > 0 {
			at = s.servers[v.addressOf2]
		}
		fmt.Fprintf(&text, "[[backend.%s.server]]\nname = 'node%d'\ntcp = '%s'\nhttp = '%s'\n", pool, i+1, at.lines, at.http)
		if i == 0 && v.weight > 0 {
			fmt.Fprintf(&text, "weight = %d\n", v.weight)
		}
	}
	return text.String() + v.tables
}
