package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcplb/internal/output"
	"mcplb/proxy/admin"
)

// patience is how long a test waits for an event. It only ends tests that hang.
const patience = 3 * time.Minute

// process is a program under test.
type process struct {
	command *exec.Cmd
	log     output.Output // standard output and standard error
	ended   chan struct{} // closed when the process has ended
}

// startProcess starts command, which is killed when the test ends.
func startProcess(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	p := &process{command: command, ended: make(chan struct{})}
	command.Stdout, command.Stderr = &p.log, &p.log
	command.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, // if the tests are killed
		Setpgid:   true,            // to kill its children, too
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = command.Wait() // its outcome is in ProcessState
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // the processes may have ended
		<-p.ended
		if t.Failed() {
			t.Logf("output of %s:\n%s", command, &p.log)
		}
	})
	return p
}

func (p *process) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// expectExit waits for the end of the process and checks its exit status.
func (p *process) expectExit(t *testing.T, status int) {
	t.Helper()
	select {
	case <-p.ended:
		if got := p.command.ProcessState.ExitCode(); got != status {
			t.Errorf("exit status %d, want %d", got, status)
		}
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
}

// expectLog checks the output of a process that has ended.
func (p *process) expectLog(t *testing.T, pattern string) {
	t.Helper()
	if text := p.log.String(); !regexp.MustCompile(pattern).MatchString(text) {
		t.Errorf("the output does not match %q: %s", pattern, text)
	}
}

// await waits for a line that matches and returns it with its groups.
func (p *process) await(t *testing.T, pattern string) []string {
	t.Helper()
	return p.log.Await(t, pattern, p.ended)
}

// eventually repeats attempt until it succeeds.
func eventually(t *testing.T, attempt func() error) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(patience)
	for {
		err := attempt()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v, still: %v", patience, err)
		}
		<-ticker.C
	}
}

// lastHost numbers the loopback addresses that listen has used.
var lastHost atomic.Uint32

// listen opens a free port on a loopback address that nothing else uses, so that no
// other process takes the port when it is closed.
func listen(t *testing.T) net.Listener {
	t.Helper()
	host := lastHost.Add(1)
	listener, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 20+os.Getpid()%80, host>>8&0xff, host&0xff))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// freeAddress is an address to listen on, now or later.
func freeAddress(t *testing.T) string {
	t.Helper()
	// A process that starts at the same time would hold the port for a moment.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	listener := listen(t)
	defer listener.Close()
	return listener.Addr().String()
}

// occupy listens on an address until the test ends.
func occupy(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// setup is a configuration with one frontend and one backend.
type setup struct {
	path                    string // of the file
	frontend, admin, health string // addresses
	mode                    string // of the frontend
	servers                 []string
	endpoint                string // of the servers: the key of their addresses

	// Further lines of these sections, and further sections.
	global, adminLines, ratelimit, frontendLines, backend, check, tables string
}

// newSetup is a configuration on free addresses, with servers node1, node2, ...
func newSetup(t *testing.T, servers ...string) *setup {
	t.Helper()
	return &setup{
		path:     filepath.Join(t.TempDir(), "lb.toml"),
		frontend: freeAddress(t),
		admin:    freeAddress(t),
		health:   freeAddress(t),
		mode:     "tcp",
		endpoint: "tcp",
		servers:  servers,
	}
}

// write writes the file, replacing an old one, and returns its path.
func (s *setup) write(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "[global]\n%s\n[admin]\nlisten = '%s'\nhealth_listen = '%s'\n%s[ratelimit]\n%s\n", s.global, s.admin, s.health, s.adminLines, s.ratelimit)
	fmt.Fprintf(&text, "[frontend.main]\nlisten = '%s'\nmode = '%s'\nbackend = 'nodes'\n%s\n", s.frontend, s.mode, s.frontendLines)
	fmt.Fprintf(&text, "[backend.nodes]\n%s\n[backend.nodes.check]\n%s\n%s\n", s.backend, s.check, s.patientChecks())
	for i, address := range s.servers {
		fmt.Fprintf(&text, "[[backend.nodes.server]]\nname = 'node%d'\n%s = '%s'\n", i+1, s.endpoint, address)
	}
	if err := os.WriteFile(s.path, []byte(text.String()+s.tables), 0o644); err != nil {
		t.Fatal(err)
	}
	return s.path
}

// patientChecks are checks that no busy machine delays so long that servers are doubted,
// or taken for down, unless the test says itself how often it checks.
func (s *setup) patientChecks() string {
	if strings.Contains(s.check, "interval") {
		return ""
	}
	return fmt.Sprintf("interval = '%[1]s'\nfast_interval = '%[1]s'\ntimeout = '%[1]s'", patience)
}

// balancer is a running mcplb.
type balancer struct {
	*process
	*setup
}

// startMcplb starts mcplb and does not wait for it to serve.
func startMcplb(t *testing.T, s *setup) *balancer {
	t.Helper()
	return &balancer{startProcess(t, exec.Command(filepath.Join(binaries, "mcplb"), "-c", s.write(t))), s}
}

// startBalancer starts mcplb and returns when it serves.
func startBalancer(t *testing.T, s *setup) *balancer {
	t.Helper()
	b := startMcplb(t, s)
	b.await(t, `\bserving\b`)
	return b
}

// webClient keeps no connection alive, so that none is left when a test ends.
var webClient = http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// get fetches a page.
func get(t *testing.T, address, path string) (status int, body string) {
	t.Helper()
	status, body, err := tryGet(address, path)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

// tryGet fetches a page, which may fail.
func tryGet(address, path string) (status int, body string, err error) {
	response, err := webClient.Get("http://" + address + path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// status is the answer of /api/v1/status. A field that the type does not have is an
// error.
func (b *balancer) status(t *testing.T) *admin.Snapshot {
	t.Helper()
	code, body := get(t, b.admin, "/api/v1/status")
	return parseStatus(t, code, body)
}

func parseStatus(t *testing.T, code int, body string) *admin.Snapshot {
	t.Helper()
	if code != http.StatusOK {
		t.Fatalf("/api/v1/status answers %d: %s", code, body)
	}
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	var snapshot admin.Snapshot
	if err := decoder.Decode(&snapshot); err != nil {
		t.Fatalf("/api/v1/status: %v in %s", err, body)
	}
	return &snapshot
}

// awaitIdle waits until no client is connected.
func (b *balancer) awaitIdle(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		if n := b.status(t).Process.Connections.Current; n != 0 {
			return fmt.Errorf("%d clients are connected", n)
		}
		return nil
	})
}

// sample is a line of the Prometheus text format, version 0.0.4.
var sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{[^{}]*\})?) (\S+)$`)

// metrics is the answer of /metrics: values by name and labels, as written there.
func (b *balancer) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	code, body := get(t, b.admin, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics answers %d: %s", code, body)
	}
	values := map[string]float64{}
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "# HELP ") || strings.HasPrefix(line, "# TYPE ") {
			continue
		}
		match := sample.FindStringSubmatch(line)
		if match == nil {
			t.Fatalf("/metrics has a line that is not a sample: %q", line)
		}
		value, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			t.Fatalf("/metrics: %v in %q", err, line)
		}
		if _, twice := values[match[1]]; twice {
			t.Fatalf("/metrics has %s twice", match[1])
		}
		values[match[1]] = value
	}
	return values
}
