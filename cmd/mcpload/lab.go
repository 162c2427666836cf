package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mcplb/proxy/reactor"
)

// lab is a real cluster to try things on, four nodes and a balancer by default,
// started by mcpcluster on loopback addresses that nobody else has.
type lab struct {
	bin       string // the directory of mcpcluster, mcpnode and mcplb
	directory string // of the configuration and of the cluster's state
	host      [2]byte
	nodes     int
}

// newLab prepares a lab; close takes it down.
func newLab(bin string, nodes int) (*lab, error) {
	if bin == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program's own directory: %w; name the binaries' directory with -bin", err)
		}
		bin = filepath.Dir(self)
	}
	for _, name := range []string{"mcpcluster", "mcpnode", "mcplb"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("%w; build it there (make build) or name the binaries' directory with -bin", err)
		}
	}
	directory, err := os.MkdirTemp("", "mcpload-*")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the cluster: %w", err)
	}
	pid := os.Getpid()
	l := &lab{bin: bin, directory: directory, host: [2]byte{byte(64 + pid%64), byte(pid >> 6)}, nodes: nodes}
	if err := os.WriteFile(l.config(), []byte(l.text()), 0o644); err != nil {
		return nil, fmt.Errorf("write the cluster's configuration: %w", err)
	}
	return l, nil
}

func (l *lab) config() string { return filepath.Join(l.directory, "lb.toml") }
func (l *lab) state() string  { return filepath.Join(l.directory, "state") }

// address is an address of the lab's own: the balancer has host 10, node n 10+n.
func (l *lab) address(host, port int) string {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, l.host[0], l.host[1], byte(host)}), uint16(port)).String()
}

// The ports of the lab's balancer and nodes.
const (
	balancerHost = 10
	portLines    = 8000
	portWeb      = 8080
	portEvents   = 8081
	portAdmin    = 8404
	portHealth   = 8888
)

// text is the cluster's configuration: everything as by default, but that one
// machine's many clients are no attack, and that sessions of short requests are
// dealt out in turn.
func (l *lab) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[admin]\nlisten = %q\nhealth_listen = %q\n", l.address(balancerHost, portAdmin), l.address(balancerHost, portHealth))
	fmt.Fprintf(&b, "[ratelimit]\nexempt = [\"127.0.0.0/8\"]\n")
	fmt.Fprintf(&b, "[frontend.tcp]\nlisten = %q\nmode = \"mcp\"\nbackend = \"nodes\"\n", l.address(balancerHost, portLines))
	fmt.Fprintf(&b, "[frontend.http]\nlisten = %q\nmode = \"http\"\nbackend = \"nodes\"\nbalance = \"roundrobin\"\n", l.address(balancerHost, portWeb))
	fmt.Fprintf(&b, "[[frontend.http.route]]\npath = \"/mcp/sse\"\nendpoint = \"sse\"\n")
	fmt.Fprintf(&b, "[backend.nodes.check]\ntype = \"tcp\"\n")
	for n := range l.nodes {
		host := balancerHost + 1 + n
		fmt.Fprintf(&b, "[[backend.nodes.server]]\nname = \"node%d\"\ntcp = %q\nhttp = %q\nsse = %q\nmaxconn = 100_000\n",
			n+1, l.address(host, portLines), l.address(host, portWeb), l.address(host, portEvents))
	}
	return b.String()
}

// cluster runs an mcpcluster command on the lab.
func (l *lab) cluster(ctx context.Context, command string, args ...string) (string, error) {
	args = append([]string{command, "-state", l.state()}, args...)
	process := exec.CommandContext(ctx, filepath.Join(l.bin, "mcpcluster"), args...)
	var stderr bytes.Buffer
	process.Stderr = &stderr
	output, err := process.Output()
	if err != nil {
		return string(output), fmt.Errorf("mcpcluster %s: %w: %s", command, err, strings.TrimSpace(stderr.String()))
	}
	return string(output), nil
}

// start starts the cluster.
func (l *lab) start(ctx context.Context) error {
	_, err := l.cluster(ctx, "start", "-c", l.config(), "-bin", l.bin)
	return err
}

// stop ends the cluster, also when ctx is done.
func (l *lab) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := l.cluster(ctx, "stop")
	return err
}

// close ends the cluster if it runs, and removes what the lab has written.
func (l *lab) close() {
	_ = l.stop() // it may be stopped already
	os.RemoveAll(l.directory)
}

// labStatus is as much of "mcpcluster status -json" as the lab needs.
type labStatus struct {
	Health  string
	NodesUp int `json:"nodes_up"`
	Members []struct {
		Name  string
		PID   int
		Up    bool
		State string
	}
}

// status asks for the cluster's status; one that is critical is none the less
// an answer.
func (l *lab) status(ctx context.Context) (*labStatus, error) {
	output, err := l.cluster(ctx, "status", "-json")
	var s labStatus
	if jsonErr := json.Unmarshal([]byte(output), &s); jsonErr != nil {
		return nil, errors.Join(err, jsonErr)
	}
	return &s, nil
}

// options are those of a run of load on the lab, watching all its processes.
func (l *lab) options(ctx context.Context) (options, error) {
	o := defaultOptions()
	o.targets[kindTCP], o.targets[kindHTTP] = l.address(balancerHost, portLines), l.address(balancerHost, portWeb)
	o.admin = l.address(balancerHost, portAdmin)
	o.mix = mix{kindTCP: 70, kindHTTP: 10, kindWS: 10, kindSSE: 10}
	o.rate, o.opening = 2000, 200
	o.timeout, o.openTimeout = time.Minute, time.Minute
	o.quiet = true
	status, err := l.status(ctx)
	if err != nil {
		return o, err
	}
	for _, m := range status.Members {
		if m.State != "ended" {
			o.watch = append(o.watch, watched{m.Name, m.PID})
		}
	}
	return o, nil
}

// command is the shell command line of an mcpcluster command on the lab.
func (l *lab) command(args string) string {
	name, rest, _ := strings.Cut(args, " ")
	return fmt.Sprintf("%q %s -state %q %s", filepath.Join(l.bin, "mcpcluster"), name, l.state(), rest)
}

// room is how many clients of a mix the open-files limit lets one mcplb have:
// each takes two descriptors there, and one of HTTP+SSE up to four.
func room(m mix) (int, error) {
	limit, err := reactor.OpenFilesLimit()
	if err != nil {
		return 0, fmt.Errorf("find the open-files limit: %w", err)
	}
	pattern := m.pattern()
	files := 0
	for _, k := range pattern {
		files += 2
		if k == kindSSE {
			files += 2
		}
	}
	return (limit - 500) * len(pattern) / files, nil
}
