package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed cluster.toml
var configuration []byte

// The addresses of the configuration.
const (
	adminAddress = "127.72.9.1:8404"
	tcpAddress   = "127.72.9.1:8000"
	httpAddress  = "127.72.9.1:8080"
)

// The times of the events, from the start of the load on.
const (
	killed  = 25 * time.Second
	started = 40 * time.Second
	drained = 55 * time.Second
)

// options holds the command line's values.
type options struct {
	bin   string        // the directory of the programs
	out   string        // the picture's file
	after time.Duration // from the start of the load to the picture
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "the `directory` of mcplb, mcpnode, mcpcluster and mcpload")
	flag.StringVar(&o.out, "o", filepath.Join("docs", "images", "page.png"), "the `file` for the picture")
	flag.DurationVar(&o.after, "after", 90*time.Second, "how long there is traffic before the picture is taken, at least a minute")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		stop()
		os.Exit(1)
	}
}

// run starts the cluster and takes the picture.
func run(ctx context.Context, o options) (err error) {
	if o.after < time.Minute {
		return fmt.Errorf("-after must be a minute at least, not %v: the node must have returned", o.after)
	}
	directory, err := os.MkdirTemp("", "mcplb-pictures-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	c := &cluster{bin: o.bin, state: filepath.Join(directory, "state")}
	config := filepath.Join(directory, "lb.toml")
	if err := os.WriteFile(config, configuration, 0o644); err != nil {
		return err
	}
	if err := c.control(ctx, "start", "-c", config, "-bin", o.bin); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.control(context.WithoutCancel(ctx), "stop")) }()
	load, err := c.load(ctx, o.after)
	if err != nil {
		return err
	}
	defer load.stop()
	if err := c.drainOne(ctx); err != nil {
		return err
	}
	if err := pause(ctx, o.after-drained); err != nil {
		return err
	}
	picture, err := screenshot(ctx, "http://"+adminAddress+"/")
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes\n", o.out, len(picture))
	return os.WriteFile(o.out, picture, 0o644)
}

// cluster is the running cluster.
type cluster struct {
	bin   string // the directory of the programs
	state string // the directory that mcpcluster keeps
}

// program returns the path of one of the programs.
func (c *cluster) program(name string) string { return filepath.Join(c.bin, name) }

// control runs a command of mcpcluster on the cluster.
func (c *cluster) control(ctx context.Context, command string, args ...string) error {
	args = append([]string{command, "-state", c.state}, args...)
	if output, err := exec.CommandContext(ctx, c.program("mcpcluster"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("mcpcluster %s: %w\n%s", command, err, output)
	}
	return nil
}

// drainOne drains a server when the time has come.
func (c *cluster) drainOne(ctx context.Context) error {
	if err := pause(ctx, drained); err != nil {
		return err
	}
	drain := exec.CommandContext(ctx, c.program("mcplb"), "drain", "nodes/node2", "-reason", "kernel update", "-admin", adminAddress)
	if output, err := drain.CombinedOutput(); err != nil {
		return fmt.Errorf("mcplb drain: %w\n%s", err, output)
	}
	return nil
}

// process is a program that runs beside this one.
type process struct{ command *exec.Cmd }

// load starts clients that kill a node and start it again.
func (c *cluster) load(ctx context.Context, lasting time.Duration) (*process, error) {
	mcpcluster := c.program("mcpcluster") + " %s -state " + c.state + " node3"
	command := exec.CommandContext(ctx, c.program("mcpload"), "run", "-quiet", "-tcp", tcpAddress, "-http", httpAddress, "-sse-path", "/mcp/sse",
		"-n", "400", "-mix", "tcp=50,http=25,ws=15,sse=10", "-rate", "200", "-interval", "1s", "-load", (lasting + time.Minute).String(),
		"-fault", fmt.Sprintf(mcpcluster, "kill"), "-fault-at", killed.String(), "-fault-node", "node3",
		"-repair", fmt.Sprintf(mcpcluster, "start"), "-repair-at", started.String(), "-admin", adminAddress)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("mcpload: %w", err)
	}
	return &process{command}, nil
}

// stop ends the process. Clients that end in the middle of their load fail, which is
// no matter here.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	_ = p.command.Wait()
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
