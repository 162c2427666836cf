package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/leak"
	"mcplb/internal/output"
)

// The test binary is also each binary of the cluster, depending on the name by which
// it is called: the tests create links with these names in a directory for -bin.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "mcpnode":
		fakeNode()
	case "mcplb":
		fakeBalancer()
	case "mcpcluster":
		main()
	default:
		// The race detector would delay the exit of each child by a second.
		os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
		leak.Main(m)
	}
}

// Nodes of these names misbehave.
const (
	diesAtStart = "dies-at-start"
	neverReady  = "never-ready"
	ignoresTerm = "ignores-term"
	drains      = "drains" // until a second SIGTERM
)

// fakeNode answers every line like a ping, and every request like a health check or
// the request of an event stream, until SIGTERM.
func fakeNode() {
	name, address := flag.String("name", "", ""), flag.String("tcp", "", "")
	web, events := flag.String("http", "", ""), flag.String("sse", "", "")
	flag.Parse()
	if *name == diesAtStart {
		fmt.Println("out of cheese")
		fmt.Println("redo from start")
		os.Exit(3)
	}
	term := make(chan os.Signal, 2)
	signal.Notify(term, syscall.SIGTERM)
	fmt.Println(*name, "is up")
	if *name != neverReady {
		answerPings(*address)
		answerRequests(*web)
		answerRequests(*events)
	}
	<-term
	switch *name {
	case ignoresTerm:
		fmt.Println(*name, "ignores it")
		select {}
	case drains:
		<-term
	}
	fmt.Println(*name, "says goodbye")
}

// fakeBalancer answers pings at its frontends and is healthy, until SIGTERM. SIGUSR2
// replaces it by another process.
func fakeBalancer() {
	path := flag.String("c", "", "")
	flag.Parse()
	if old, err := strconv.Atoi(os.Getenv("FAKE_OLD")); err == nil {
		for os.Getppid() == old { // it still listens
			time.Sleep(time.Millisecond)
		}
	}
	upgrade := make(chan os.Signal, 1)
	signal.Notify(upgrade, syscall.SIGUSR2)
	go func() {
		<-upgrade
		next := exec.Command(os.Args[0], os.Args[1:]...)
		next.Env = append(os.Environ(), fmt.Sprintf("FAKE_OLD=%d", os.Getpid()))
		next.Stdout, next.Stderr = os.Stdout, os.Stderr
		must(next.Start())
		os.Exit(0)
	}()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	config, err := conf.Load(*path)
	must(err)
	fmt.Println("mcplb is up")
	for _, frontend := range config.Frontends {
		for _, address := range frontend.Listen {
			answerPings(address)
		}
	}
	answerRequests(config.Admin.HealthListen)
	<-term
	fmt.Println("mcplb says goodbye")
}

// answerPings listens before it returns.
func answerPings(address string) {
	listener, err := net.Listen("tcp", address)
	must(err)
	go func() {
		for {
			conn, err := listener.Accept()
			must(err)
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintln(conn, `{"jsonrpc":"2.0","id":1,"result":{}}`)
				}
			}()
		}
	}()
}

// answerRequests listens before it returns. "" is no address.
func answerRequests(address string) {
	if address == "" {
		return
	}
	listener, err := net.Listen("tcp", address)
	must(err)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "event: endpoint") }))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(4)
	}
}

// binaries makes a directory for -bin.
func binaries(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	for _, name := range []string{"mcpnode", "mcplb", "mcpcluster"} {
		if err := os.Symlink(self, filepath.Join(directory, name)); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// layout is a configuration on free ports.
type layout struct {
	path     string
	nodes    []string // their tcp addresses
	web      []string // their http addresses
	events   []string // their sse addresses
	frontend string
	health   string
}

// configure writes a configuration with nodes of these names.
func configure(t *testing.T, names ...string) layout {
	t.Helper()
	n := len(names)
	addresses := freeAddresses(t, 3*n+2)
	l := layout{
		path:     filepath.Join(t.TempDir(), "lb.toml"),
		nodes:    addresses[2 : 2+n],
		web:      addresses[2+n : 2+2*n],
		events:   addresses[2+2*n:],
		frontend: addresses[0],
		health:   addresses[1],
	}
	var text strings.Builder
	fmt.Fprintf(&text, "[admin]\nlisten = ''\nhealth_listen = '%s'\n", l.health)
	fmt.Fprintf(&text, "[frontend.tcp]\nlisten = '%s'\nmode = 'mcp'\nbackend = 'nodes'\n", l.frontend)
	for i, name := range names {
		fmt.Fprintf(&text, "[[backend.nodes.server]]\nname = '%s'\ntcp = '%s'\nhttp = '%s'\nsse = '%s'\n",
			name, l.nodes[i], l.web[i], l.events[i])
	}
	if err := os.WriteFile(l.path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return l
}

// nodeMember is a node with a tcp address only.
func nodeMember(name, address string) member {
	plan := nodePlan{name, []endpoint{{"tcp", address}}}
	return plan.member()
}

// lastHost numbers the loopback addresses that freeAddresses has used.
var lastHost atomic.Uint32

// freeAddresses finds free ports, each on a separate loopback address, so that no
// other test takes it before it is used.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var addresses []string
	for range n {
		listener := listenBelowEphemeral(t)
		defer listener.Close()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses
}

// listenBelowEphemeral listens on an address that only this test uses. The kernel
// does not assign its port by itself: it stays free when it is closed.
func listenBelowEphemeral(t *testing.T) net.Listener {
	t.Helper()
	host := lastHost.Add(1)
	for {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:%d", 100+os.Getpid()%100, host>>8&0xff, host&0xff, 10000+rand.IntN(20000)))
		if err == nil {
			return listener
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}

// terminal receives the output of a command, and tests can wait for it.
type terminal struct{ output.Output }

// await waits for text that matches and returns it with its groups.
func (w *terminal) await(t *testing.T, pattern string) []string {
	t.Helper()
	return w.Await(t, pattern, nil)
}

// testLimit only ends tests that hang.
const testLimit = 3 * time.Minute

// running is an mcpcluster in this process.
type running struct {
	stdout, stderr  terminal
	interrupt, kill context.CancelFunc // the first and the second signal
	status          chan int
}

// startCluster runs mcpcluster with args.
func startCluster(t *testing.T, system system, args ...string) *running {
	t.Helper()
	r := &running{status: make(chan int, 1)}
	in := invocation{stdout: &r.stdout, stderr: &r.stderr, system: system}
	in.running, r.interrupt = context.WithCancel(context.Background())
	in.waiting, r.kill = context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.status <- dispatch(in, args)
	}()
	t.Cleanup(func() {
		r.interrupt()
		r.kill()
		<-ended
	})
	return r
}

// expectStatus waits for the end and checks the exit status.
func (r *running) expectStatus(t *testing.T, want int) {
	t.Helper()
	select {
	case got := <-r.status:
		if got != want {
			t.Errorf("exit status %d, want %d; stderr: %s", got, want, &r.stderr)
		}
	case <-time.After(testLimit):
		t.Fatalf("mcpcluster does not end; stderr: %s", &r.stderr)
	}
}

// pidOf finds a member in the table.
func (r *running) pidOf(t *testing.T, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(r.stdout.await(t, `(?m)^\w+ +`+name+` +\S+ \S+ +(\d+) +ready$`)[1])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func (r *running) awaitReady(t *testing.T) {
	t.Helper()
	r.stdout.await(t, "Ctrl-C ends the cluster")
}

func expectAnswer(t *testing.T, addresses ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	for _, address := range addresses {
		if err := ping(ctx, address); err != nil {
			t.Errorf("no answer: %v", err)
		}
	}
}

// expectClosed waits until no process listens on the addresses any more.
func expectClosed(t *testing.T, addresses ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	for _, address := range addresses {
		err := poll(ctx, func(ctx context.Context) error {
			if connects(ctx, address) == nil {
				return fmt.Errorf("%s accepts connections", address)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// startHolder runs a fake node that holds an address until the test ends.
func startHolder(t *testing.T, bin, address string) *exec.Cmd {
	t.Helper()
	command := exec.Command(filepath.Join(bin, "mcpnode"), "-name", "holder", "-tcp", address)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	if err := poll(ctx, func(ctx context.Context) error { return ping(ctx, address) }); err != nil {
		t.Fatal(err)
	}
	return command
}
