package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// peer is another balancer in the place of mcplb, whose reloads are compared.
type peer struct {
	name string
	// start writes the configuration and runs the balancer, in the foreground.
	start func(t *testing.T, s *peerStage)
	// reload applies changed configuration number i.
	reload func(t *testing.T, s *peerStage, i int)
}

// peerStage is a peer in front of the servers of the traffic.
type peerStage struct {
	entrances
	directory string
	servers   []stageServer
	processes []*process // in the order of their start
}

var peers = []peer{
	{"HAProxy (master-worker, USR2)", startMasterWorker, func(t *testing.T, s *peerStage, i int) {
		writePeerFile(t, s, "haproxy.cfg", haproxyText(s, i))
		s.last().signal(t, syscall.SIGUSR2)
		s.last().await(t, fmt.Sprintf(`(?s:(Loading success.*){%d})`, i+1)) // it accepts no other reload before
	}},
	{"HAProxy (-sf)", startSoftFinish, softFinish},
	{"nginx (HUP)", startNginx, func(t *testing.T, s *peerStage, i int) {
		writePeerFile(t, s, "nginx.conf", nginxText(s, i))
		s.last().signal(t, syscall.SIGHUP)
	}},
}

// TestReloadsOfPeers prints the effects of reloads on the clients of HAProxy, nginx
// and mcplb: the same traffic, the same number of reloads, each with a change of the
// file. Half of the long-lived connections are open from the beginning, the others
// are opened in between. It asserts nothing about the peers.
//
//	MCPLB_LONG=1 go test -v -run TestReloadsOfPeers ./cmd/mcplb
func TestReloadsOfPeers(t *testing.T) {
	if os.Getenv("MCPLB_LONG") == "" {
		t.Skip("a comparison, for a long run")
	}
	table := &strings.Builder{}
	fmt.Fprintf(table, "| %d reloads | streams broken | new connections failed | requests lost | idle connections closed | processes before, after | MB before, after |\n|---|---|---|---|---|---|---|\n", peerReloads)
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			s := newPeerStage(t)
			p.start(t, s)
			reloadAmidTraffic(t, table, p.name, s.entrances,
				func(i int) { p.reload(t, s, i) }, func() []int { return s.alive() })
			s.end(t)
		})
	}
	t.Run("mcplb", func(t *testing.T) {
		s := startStage(t)
		tr := reloadAmidTraffic(t, table, "mcplb (HUP)", s.entrances,
			func(i int) { s.reloadVariant(t, i) }, func() []int { return family(s.command.Process.Pid) })
		tr.expectNoFailure(t)
	})
	t.Logf("\n%s", table)
}

const peerReloads = 50

// reloadAmidTraffic reloads repeatedly and adds a line to the table.
func reloadAmidTraffic(t *testing.T, table *strings.Builder, name string, to entrances, reload func(i int), alive func() []int) *traffic {
	t.Helper()
	l := trafficLoad()
	l.held /= 2
	tr := startTraffic(t, l, to)
	before := alive()
	memory := resident(before)
	for i := 1; i <= peerReloads; i++ {
		reload(i)
		tr.holdMore(l.held / peerReloads)
		// There is no event to wait for that all of them report.
		pause(tr.ctx, 300*time.Millisecond)
	}
	after := alive()
	fmt.Fprintf(table, "| %s | %d | %d | %d | %d | %d, %d | %d, %d |\n", name,
		tr.failed(failedStream), tr.failed(failedConnect)+tr.failed(failedConnection)+tr.failed(failedOpen),
		tr.failed(failedRequest), tr.failed(failedIdle), len(before), len(after), memory>>20, resident(after)>>20)
	tr.stop()
	t.Logf("%s", tr)
	return tr
}

// resident is the memory of processes. Shared pages count in part for each (proc(5),
// smaps_rollup).
func resident(pids []int) int {
	sum := 0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has ended meanwhile
		}
		for line := range strings.Lines(string(text)) {
			var kilobytes int
			if _, err := fmt.Sscanf(line, "Pss: %d kB", &kilobytes); err == nil {
				sum += kilobytes << 10
			}
		}
	}
	return sum
}

// family is a process and all its descendants.
func family(pid int) []int {
	all := []int{pid}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return all
	}
	for _, child := range strings.Fields(string(children)) {
		if number, err := strconv.Atoi(child); err == nil {
			all = append(all, family(number)...)
		}
	}
	return all
}

// last is the process started last.
func (s *peerStage) last() *process { return s.processes[len(s.processes)-1] }

// run starts a process of the peer.
func (s *peerStage) run(t *testing.T, command *exec.Cmd) {
	t.Helper()
	s.processes = append(s.processes, startProcess(t, command))
}

// alive are the processes of the peer that have not ended.
func (s *peerStage) alive() []int {
	var pids []int
	for _, p := range s.processes {
		select {
		case <-p.ended:
		default:
			pids = append(pids, family(p.command.Process.Pid)...)
		}
	}
	return pids
}

// end stops the peer.
func (s *peerStage) end(t *testing.T) {
	t.Helper()
	for _, p := range s.processes {
		_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended
		<-p.ended
	}
}

func newPeerStage(t *testing.T) *peerStage {
	t.Helper()
	s := &peerStage{entrances: entrances{freeAddress(t), freeAddress(t), freeAddress(t)}, directory: shortDirectory(t)}
	for range 4 {
		s.servers = append(s.servers, stageServer{startEcho(t), startTrafficNode(t)})
	}
	return s
}

// shortDirectory is a directory whose name fits into the address of a socket.
func shortDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "peer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	return directory
}

func writePeerFile(t *testing.T, s *peerStage, name, text string) string {
	t.Helper()
	path := filepath.Join(s.directory, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitEntrances waits until the peer listens.
func (s *peerStage) awaitEntrances(t *testing.T) {
	t.Helper()
	for _, address := range []string{s.tcp, s.mcp, s.http} {
		eventually(t, func() error {
			c, err := dialFrom("", address)
			if err == nil {
				c.Close()
			}
			return err
		})
	}
}

func look(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

func startMasterWorker(t *testing.T, s *peerStage) {
	path := writePeerFile(t, s, "haproxy.cfg", haproxyText(s, 0))
	s.run(t, exec.Command(look(t, "haproxy"), "-W", "-f", path))
	s.awaitEntrances(t)
}

func startSoftFinish(t *testing.T, s *peerStage) {
	path := writePeerFile(t, s, "haproxy.cfg", haproxyText(s, 0))
	s.run(t, exec.Command(look(t, "haproxy"), "-db", "-f", path))
	s.awaitEntrances(t)
}

// softFinish starts a process that takes over the listeners of the last one, by its
// socket, and requests all earlier ones to finish.
func softFinish(t *testing.T, s *peerStage, i int) {
	path := writePeerFile(t, s, "haproxy.cfg", haproxyText(s, i))
	args := []string{"-db", "-f", path, "-x", s.directory + "/socket", "-sf"}
	for _, pid := range s.alive() {
		args = append(args, strconv.Itoa(pid))
	}
	s.run(t, exec.Command(look(t, "haproxy"), args...))
}

// haproxyText is a configuration according to the manual, with a handover of the
// listeners (expose-fd) and the timeouts of mcplb.
func haproxyText(s *peerStage, i int) string {
	text := fmt.Sprintf(`global
	maxconn 4000
	nbthread 1
	hard-stop-after 5m
	stats socket %s/socket level admin expose-fd listeners
defaults
	timeout connect %ds
	timeout client 300s
	timeout server 300s
	timeout tunnel 300s
`, s.directory, 5+i%3)
	for _, f := range []struct{ name, mode, address string }{{"tcp", "tcp", s.tcp}, {"mcp", "tcp", s.mcp}, {"http", "http", s.http}} {
		text += fmt.Sprintf("listen %s\n\tmode %s\n\tbind %s\n\tbalance leastconn\n", f.name, f.mode, f.address)
		for n, server := range s.servers[:3+i%2] {
			address := server.lines
			if f.mode == "http" {
				address = server.http
			}
			text += fmt.Sprintf("\tserver node%d %s weight %d\n", n+1, address, 50+i%2)
		}
	}
	return text
}

func startNginx(t *testing.T, s *peerStage) {
	path := writePeerFile(t, s, "nginx.conf", nginxText(s, 0))
	s.run(t, exec.Command(look(t, "nginx"), "-e", filepath.Join(s.directory, "error.log"), "-p", s.directory, "-c", path))
	s.awaitEntrances(t)
}

// nginxText is a configuration according to the manual, with kept-alive connections
// on both sides and with WebSockets.
func nginxText(s *peerStage, i int) string {
	var lines, web strings.Builder
	for _, server := range s.servers[:3+i%2] {
		fmt.Fprintf(&lines, "\t\tserver %s weight=%d;\n", server.lines, 1+i%2)
		fmt.Fprintf(&web, "\t\tserver %s weight=%d;\n", server.http, 1+i%2)
	}
	return fmt.Sprintf(`daemon off;
worker_processes 1;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 8000; }
stream {
	upstream lines {
%[2]s	}
	server { listen %[3]s; proxy_pass lines; proxy_timeout 300s; }
	server { listen %[4]s; proxy_pass lines; proxy_timeout 300s; }
}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	keepalive_timeout 300s;
	keepalive_requests 100000;
	client_max_body_size 16m;
	map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
	upstream web {
%[5]s		keepalive 64;
	}
	server {
		listen %[6]s;
		location / {
			proxy_pass http://web;
			proxy_http_version 1.1;
			proxy_buffering off;
			proxy_read_timeout 300s;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
		}
	}
}
`, s.directory, &lines, s.tcp, s.mcp, &web, s.http)
}
