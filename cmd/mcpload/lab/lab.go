package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/run"
	"mcplb/proxy/reactor"
)

// Lab is a cluster, running or not.
type Lab struct {
	Network Network
	Nodes   int

	bin       string // the directory of mcpcluster, mcpnode and mcplb
	directory string // of the configuration and of the cluster's state
}

// New prepares a cluster with that many nodes from the programs in a directory,
// "" for that of this program. Close removes it.
func New(bin string, nodes int) (*Lab, error) {
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
		return nil, fmt.Errorf("create a directory for the cluster: %w", err)
	}
	l := &Lab{Network: OwnNetwork(), Nodes: nodes, bin: bin, directory: directory}
	if err := os.WriteFile(l.configFile(), []byte(l.config()), 0o644); err != nil {
		return nil, fmt.Errorf("write the cluster's configuration: %w", err)
	}
	return l, nil
}

// Close stops the cluster if it runs, and removes its files.
func (l *Lab) Close() {
	_ = l.Stop() // fails if it does not run
	os.RemoveAll(l.directory)
}

// Start starts the cluster.
func (l *Lab) Start(ctx context.Context) error {
	_, err := l.Cluster(ctx, "start", "-c", l.configFile(), "-bin", l.bin)
	return err
}

// Stop stops the cluster within a minute.
func (l *Lab) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := l.Cluster(ctx, "stop")
	return err
}

// Cluster runs an mcpcluster command on the lab and returns its output.
func (l *Lab) Cluster(ctx context.Context, command string, args ...string) (string, error) {
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

// Status is the part of "mcpcluster status -json" that is used.
type Status struct {
	Health  string
	NodesUp int `json:"nodes_up"`
	Members []Member
}

// Member is one process of the cluster.
type Member struct {
	Name  string
	PID   int
	Up    bool
	State string
}

// Status returns the cluster's status, also if it is critical.
func (l *Lab) Status(ctx context.Context) (*Status, error) {
	output, err := l.Cluster(ctx, "status", "-json")
	var s Status
	if jsonErr := json.Unmarshal([]byte(output), &s); jsonErr != nil {
		return nil, errors.Join(err, jsonErr)
	}
	return &s, nil
}

// Admin returns the address of the balancer's admin pages.
func (l *Lab) Admin() string { return l.Network.Address(BalancerHost, PortAdmin) }

// NodeLines returns the address at which node n, from 1, accepts raw TCP.
func (l *Lab) NodeLines(n int) string { return l.Network.Address(BalancerHost+n, PortLines) }

// Options returns the options of a run on the cluster, which watch all its
// processes.
func (l *Lab) Options(ctx context.Context) (run.Options, error) {
	o := run.Defaults()
	o.Addresses[clients.TCP] = l.Network.Address(BalancerHost, PortLines)
	o.Addresses[clients.HTTP] = l.Network.Address(BalancerHost, PortHTTP)
	o.Fault.Admin = l.Admin()
	o.Mix = clients.Mix{clients.TCP: 70, clients.HTTP: 10, clients.WS: 10, clients.SSE: 10}
	o.Rate, o.Opening = 2000, 200
	o.Timeout, o.OpenTimeout = time.Minute, time.Minute
	o.Quiet = true
	status, err := l.Status(ctx)
	if err != nil {
		return o, err
	}
	for _, m := range status.Members {
		if m.State != "ended" {
			o.Watch = append(o.Watch, run.Watched{Name: m.Name, PID: m.PID})
		}
	}
	return o, nil
}

// BreakNode makes a run kill a node of the cluster, which it watches, and start it
// again.
func (l *Lab) BreakNode(o *run.Options, node string) {
	o.Fault.Node = node
	for _, w := range o.Watch {
		if w.Name == node {
			o.Fault.Command = fmt.Sprintf("kill -9 %d", w.PID)
		}
	}
	o.Fault.Repair = fmt.Sprintf("%q start -state %q %s", filepath.Join(l.bin, "mcpcluster"), l.state(), node)
	o.Expect.Failover, o.Expect.Undisturbed = 5*time.Second, true
}

func (l *Lab) configFile() string { return filepath.Join(l.directory, "lb.toml") }
func (l *Lab) state() string      { return filepath.Join(l.directory, "state") }

// config returns the cluster's configuration: the defaults, except that the many
// clients of one machine are no attack, and that sessions of short requests are
// distributed in turn.
func (l *Lab) config() string {
	var b strings.Builder
	address := l.Network.Address
	fmt.Fprintf(&b, "[admin]\nlisten = %q\nhealth_listen = %q\n", l.Admin(), address(BalancerHost, PortHealth))
	fmt.Fprintf(&b, "[ratelimit]\nexempt = [\"127.0.0.0/8\"]\n")
	fmt.Fprintf(&b, "[frontend.tcp]\nlisten = %q\nmode = \"mcp\"\nbackend = \"nodes\"\n", address(BalancerHost, PortLines))
	fmt.Fprintf(&b, "[frontend.http]\nlisten = %q\nmode = \"http\"\nbackend = \"nodes\"\nbalance = \"roundrobin\"\n", address(BalancerHost, PortHTTP))
	fmt.Fprintf(&b, "[[frontend.http.route]]\npath = \"/mcp/sse\"\nendpoint = \"sse\"\n")
	fmt.Fprintf(&b, "[backend.nodes.check]\ntype = \"tcp\"\n")
	for n := 1; n <= l.Nodes; n++ {
		host := BalancerHost + n
		fmt.Fprintf(&b, "[[backend.nodes.server]]\nname = \"node%d\"\ntcp = %q\nhttp = %q\nsse = %q\nmaxconn = 100_000\n",
			n, address(host, PortLines), address(host, PortHTTP), address(host, PortSSE))
	}
	return b.String()
}

// Capacity returns how many clients of a mix the open-files limit allows one mcplb:
// each uses two descriptors there, and one of HTTP+SSE up to four.
func Capacity(m clients.Mix) (int, error) {
	limit, err := reactor.OpenFilesLimit()
	if err != nil {
		return 0, fmt.Errorf("find the open-files limit: %w", err)
	}
	pattern := m.Pattern()
	files := 0
	for _, k := range pattern {
		files += 2
		if k == clients.SSE {
			files += 2
		}
	}
	return (limit - 500) * len(pattern) / files, nil
}
