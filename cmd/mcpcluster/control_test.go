package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/conf"
)

// do runs one command, expects its exit status and returns its output.
func do(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	r := startCluster(t, realSystem(), args...)
	r.expectStatus(t, status)
	return r.stdout.String(), r.stderr.String()
}

// expectMembers checks the members' states in the output of a command.
func expectMembers(t *testing.T, table string, states ...string) {
	t.Helper()
	for _, state := range states {
		name, want, _ := strings.Cut(state, " ")
		if !regexp.MustCompile(`(?m)^\w+ +` + name + ` +\d+ +` + want + `( |$)`).MatchString(table) {
			t.Errorf("%s is not %s in\n%s", name, want, table)
		}
	}
}

// TestBackground uses every command with a cluster in the background.
func TestBackground(t *testing.T) {
	t.Parallel()
	bin, state := binaries(t), filepath.Join(t.TempDir(), "s")
	l := configure(t, "node1", "node2", "node3", "node4")
	table, _ := do(t, 0, "start", "-state", state, "-bin", bin, "-c", l.path)
	t.Cleanup(func() {
		if _, err := ask(t.Context(), state, request{Op: opShutdown}); err == nil {
			t.Error("the cluster was not stopped")
		}
	})
	expectMembers(t, table, "node1 ready", "node4 ready", "mcplb ready")
	expectAnswer(t, append(l.nodes, l.frontend)...)

	table, _ = do(t, 0, "stop", "-state", state, "-kill", "node3")
	expectMembers(t, table, "node1 ready", "node3 ended", "mcplb ready")
	expectClosed(t, l.nodes[2])
	table, _ = do(t, 0, "status", "-state", state)
	if !strings.HasPrefix(table, "degraded: 3 of 4 nodes up") {
		t.Errorf("the status is %q", table)
	}
	expectMembers(t, table, "node1 ready", "node3 ended")

	table, _ = do(t, 0, "start", "-state", state, "node3")
	expectMembers(t, table, "node3 ready")
	table, _ = do(t, 0, "restart", "-state", state, "node1", "mcplb")
	expectMembers(t, table, "node1 ready", "mcplb ready")
	expectAnswer(t, append(l.nodes, l.frontend)...)

	var text string
	var status clusterStatus
	for range 200 { // the balancer publishes latencies a moment after the response
		text, _ = do(t, 0, "status", "-state", state, "-json")
		status = clusterStatus{}
		if err := json.Unmarshal([]byte(text), &status); err != nil {
			t.Fatal(err)
		}
		if status.Latency != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if status.Health != "healthy" || status.NodesUp != 4 || !status.Balancer || status.Latency == nil || status.Latency.P99 <= 0 || len(status.Members) != 5 {
		t.Errorf("the status is %s", text)
	}
	log, _ := do(t, 0, "tail", "-state", state, "-n", "2", "node1")
	if log != "node1 says goodbye\nnode1 is up\n" {
		t.Errorf("the log of node1 ends with %q", log)
	}
	do(t, 0, "restart", "-state", state)
	expectAnswer(t, append(l.nodes, l.frontend)...)
	do(t, 0, "stop", "-state", state)
	expectClosed(t, append(l.nodes, l.frontend)...)
	if _, stderr := do(t, 1, "status", "-state", state); !strings.Contains(stderr, "no cluster runs there") {
		t.Errorf("stderr: %s", stderr)
	}
}

// The status shows a member that has crashed, and start starts it again.
func TestMemberCrashes(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	l := configure(t, "node1", "node2", "node3")
	r := startCluster(t, realSystem(), "run", "-c", l.path, "-bin", binaries(t), "-state", state)
	r.awaitReady(t)
	for range 3 { // more members than the channel ended can hold
		answer, err := ask(t.Context(), state, request{Op: opStatus})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range answer.Members[:2] {
			syscall.Kill(m.PID, syscall.SIGKILL)
			r.stderr.await(t, fmt.Sprintf(`pid %d\) ended unexpectedly: signal: killed`, m.PID))
		}
		table, _ := do(t, 1, "status", "-state", state)
		expectMembers(t, table, "node1 ended", "node2 ended", "node3 ready")
		if table, _ = do(t, 0, "start", "-state", state); !strings.HasPrefix(table, "critical") {
			expectMembers(t, table, "node1 ready", "node2 ready", "node3 ready")
		}
	}
	r.interrupt()
	r.expectStatus(t, 0)
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	bin, state := binaries(t), t.TempDir()
	l := configure(t, "node1", diesAtStart)
	_, stderr := do(t, 1, "start", "-state", state, "-bin", bin, "-c", l.path)
	if !strings.Contains(stderr, "the cluster could not be started (exit status 1)") || !strings.Contains(stderr, "out of cheese") {
		t.Errorf("stderr: %s", stderr)
	}
	expectClosed(t, l.nodes...)
	holder := startHolder(t, bin, l.nodes[0])
	_, stderr = do(t, 1, "start", "-state", state, "-bin", bin, "-c", l.path)
	if !strings.Contains(stderr, fmt.Sprintf("mcpnode (pid %d) listens there", holder.Process.Pid)) {
		t.Errorf("stderr: %s", stderr)
	}
}

func TestOneClusterPerStateDirectory(t *testing.T) {
	t.Parallel()
	bin, state := binaries(t), t.TempDir()
	l, other := configure(t, "node1"), configure(t, "node1")
	r := startCluster(t, realSystem(), "run", "-c", l.path, "-bin", bin, "-state", state)
	r.awaitReady(t)
	if _, stderr := do(t, 1, "run", "-c", other.path, "-bin", bin, "-state", state); !strings.Contains(stderr, "a cluster runs there already") {
		t.Errorf("stderr: %s", stderr)
	}
	if _, stderr := do(t, 1, "stop", "-state", state, "node9"); !strings.Contains(stderr, `no member "node9"`) {
		t.Errorf("stderr: %s", stderr)
	}
}

// A killed mcpcluster leaves its socket behind, which is no cluster.
func TestOldSocket(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	first, err := openControl(state)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(state, controlName)
	if err := os.Rename(path, path+"-moved"); err != nil { // so that closing does not remove it
		t.Fatal(err)
	}
	first.close()
	if err := os.Rename(path+"-moved", path); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), state, request{Op: opStatus}); !errors.Is(err, errNoCluster) {
		t.Errorf("asking gives %v", err)
	}
	second, err := openControl(state)
	if err != nil {
		t.Fatal(err)
	}
	second.close()
}

func TestHealthOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		up, nodes int
		balancer  bool
		want      string
	}{
		{4, 4, true, "healthy"}, {4, 5, true, "healthy"}, {3, 4, true, "degraded"}, {2, 4, true, "degraded"},
		{1, 4, true, "critical"}, {0, 0, true, "critical"}, {4, 4, false, "critical"},
	} {
		if got := healthOf(c.up, c.nodes, c.balancer); got != c.want {
			t.Errorf("%d of %d, balancer %v: %s, want %s", c.up, c.nodes, c.balancer, got, c.want)
		}
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb\nc", 2, "b\nc"}, {"a\nb\n", 9, "a\nb\n"}, {"a\n", 0, ""}, {"", 3, ""}, {"a\n\n", 1, "\n"},
	} {
		if got := string(lastLines([]byte(c.text), c.n)); got != c.want {
			t.Errorf("%q, %d: %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

// compose writes a valid configuration for the demonstration, with the addresses of
// the containers in docker-compose.yml.
func TestCompose(t *testing.T) {
	t.Parallel()
	bin := binaries(t)
	out := filepath.Join(t.TempDir(), "out")
	if stdout, _ := do(t, 0, "compose", "-bin", bin, "-o", out); !strings.Contains(stdout, "docker compose -f "+out) {
		t.Errorf("stdout: %s", stdout)
	}
	inside, err := os.ReadFile(filepath.Join(out, "config", "lb.toml"))
	if err != nil {
		t.Fatal(err)
	}
	// That directory becomes the container's root.
	outside := strings.NewReplacer(`"/https-1`, `"`+out+`/config/https-1`).Replace(string(inside))
	config, err := conf.Parse("lb.toml", []byte(outside))
	if err != nil {
		t.Fatal(err)
	}
	if tls := config.Frontend("https").TLS; tls == nil || tls.Certificates[0].Cert != out+"/config/https-1.pem" {
		t.Errorf("the certificate is %+v", tls)
	}
	text, err := os.ReadFile(filepath.Join(out, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for i, server := range config.Backends[0].Servers {
		ip := fmt.Sprintf("172.25.0.%d", 11+i)
		want := fmt.Sprintf(`  %s:
    build:
      context: .
      target: mcpnode
    command: ["-name", "%s", "-tcp", "%s", "-http", "%s", "-sse", "%s"]
`, server.Name, server.Name, server.TCP, server.HTTP, server.SSE)
		if !strings.Contains(string(text), want) || !strings.Contains(string(text), "ipv4_address: "+ip+"\n") || !strings.HasPrefix(server.TCP, ip+":") {
			t.Errorf("%s at %s is not in\n%s", server.Name, ip, text)
		}
	}
	for _, want := range []string{`"8000:8000"`, `"127.0.0.1:8404:8404"`, "depends_on: [node1, node2, node3, node4]", "target: mcplb", `command: ["-c", "/lb.toml"]`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	if strings.Count(string(text), "read_only: true\n    cap_drop: [ALL]\n") != 1+len(config.Backends[0].Servers) {
		t.Errorf("not every container is read-only and without capabilities:\n%s", text)
	}
	image, err := os.ReadFile(filepath.Join(out, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(image), "USER 65532:65532\nENTRYPOINT") != 2 || !strings.Contains(string(image), `HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/mcplb", "status", "-alive", "-c", "/lb.toml"]`) {
		t.Errorf("the images run as root, or have no health check:\n%s", image)
	}
	if config.Admin.Listen != ":8404" {
		t.Errorf("the admin pages are at %q", config.Admin.Listen)
	}
	if _, stderr := do(t, 1, "compose", "-bin", bin, "-o", out); !strings.Contains(stderr, "is not empty") {
		t.Errorf("stderr: %s", stderr)
	}
}

// memberPID asks the cluster of a state directory for a member's process.
func memberPID(t *testing.T, state, name string) int {
	t.Helper()
	answer, err := ask(t.Context(), state, request{Op: opStatus})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range answer.Members {
		if m.Name == name {
			return m.PID
		}
	}
	t.Fatalf("there is no member %s", name)
	return 0
}

// An upgrade of the balancer does not end the cluster: mcpcluster follows it, as often as it
// happens, commands see and restart the new process, and Ctrl-C leaves nothing behind.
func TestUpgradeIsFollowed(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "s")
	l := configure(t, "node1")
	command, stdout, stderr := startProcess(t, "run", "-c", l.path, "-state", state)
	stdout.await(t, "Ctrl-C ends the cluster")
	var pids []int
	for range 3 {
		pid := memberPID(t, state, "mcplb")
		pids = append(pids, pid)
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		stderr.await(t, fmt.Sprintf(`balancer mcplb has been upgraded: pid %d -> \d+\n`, pid))
		expectAnswers(t, l.frontend)
	}
	expectMembersOf(t, state, "node1 ready", "mcplb ready")
	upgraded := memberPID(t, state, "mcplb")
	table, _ := do(t, 0, "restart", "-state", state, "mcplb")
	expectMembers(t, table, "mcplb ready")
	if now := memberPID(t, state, "mcplb"); now == upgraded {
		t.Errorf("the restart left process %d", now)
	}
	pids = append(pids, upgraded, memberPID(t, state, "mcplb"))
	if err := syscall.Kill(pids[len(pids)-1], syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	stderr.await(t, fmt.Sprintf(`upgraded: pid %d -> \d+\n`, pids[len(pids)-1]))
	last := memberPID(t, state, "mcplb")
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("it ended with %v, want status 0; stderr: %s", err, stderr)
	}
	expectClosed(t, append(l.nodes, l.frontend, l.health)...)
	for _, pid := range append(pids, last) {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is left over (%v)", pid, err)
		}
	}
}

// The end of an upgraded balancer is noticed like that of the first one.
func TestUpgradedBalancerDies(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "s")
	l := configure(t, "node1")
	command, stdout, stderr := startProcess(t, "run", "-c", l.path, "-state", state)
	stdout.await(t, "Ctrl-C ends the cluster")
	pid := memberPID(t, state, "mcplb")
	syscall.Kill(pid, syscall.SIGUSR2)
	stderr.await(t, fmt.Sprintf(`upgraded: pid %d -> \d+\n`, pid))
	expectAnswers(t, l.frontend)
	syscall.Kill(memberPID(t, state, "mcplb"), syscall.SIGKILL)
	if err := command.Wait(); err == nil {
		t.Error("mcpcluster ended with status 0")
	}
	stderr.await(t, `balancer mcplb \(pid \d+\) ended unexpectedly: signal: killed`)
	expectClosed(t, append(l.nodes, l.frontend)...)
}

// expectAnswers waits until an address answers pings.
func expectAnswers(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	if err := poll(ctx, func(ctx context.Context) error { return ping(ctx, address) }); err != nil {
		t.Fatalf("no answer: %v", err)
	}
}

func expectMembersOf(t *testing.T, state string, states ...string) {
	t.Helper()
	table, _ := do(t, 0, "status", "-state", state)
	expectMembers(t, table, states...)
}

// The commands work beside "mcpcluster run" without a flag; a second cluster runs, too, and says that
// commands do not reach it.
func TestCommandsBesideRun(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary) // where the user's state directory is
	bin := binaries(t)
	if _, stderr := do(t, 1, "status"); !strings.Contains(stderr, "no cluster runs there") || !strings.Contains(stderr, temporary) {
		t.Errorf("without a cluster: %s", stderr)
	}
	l, other := configure(t, "node1", "node2"), configure(t, "node1")
	r := startCluster(t, realSystem(), "run", "-c", l.path, "-bin", bin)
	r.awaitReady(t)
	second := startCluster(t, realSystem(), "run", "-c", other.path, "-bin", bin)
	second.awaitReady(t)
	second.stderr.await(t, `other commands do not see this cluster: .*a cluster runs there already`)
	second.interrupt()
	second.expectStatus(t, 0)

	table, _ := do(t, 0, "status")
	expectMembers(t, table, "node1 ready", "node2 ready", "mcplb ready")
	table, _ = do(t, 0, "kill", "node2")
	expectMembers(t, table, "node1 ready", "node2 ended")
	table, _ = do(t, 0, "restart", "node2")
	expectMembers(t, table, "node2 ready")
	expectAnswer(t, append(l.nodes, l.frontend)...)
	if _, stderr := do(t, 1, "restart", "node9"); !strings.Contains(stderr, `no member "node9"`) {
		t.Errorf("a member that is not there: %s", stderr)
	}
	do(t, 2, "kill")
	r.interrupt()
	r.expectStatus(t, 0)
	expectClosed(t, append(l.nodes, l.frontend)...)
	do(t, 1, "status")
}
