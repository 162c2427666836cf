package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
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

// events are what happens beside the load, by the time from its start on. Clients
// still come when the node returns, so that it gets its share.
var events = []struct {
	at      time.Duration
	program string
	args    []string
}{
	{12 * time.Second, "mcpcluster", []string{"kill", "-state", state, "node3"}},
	{20 * time.Second, "mcpcluster", []string{"start", "-state", state, "node3"}},
	{85 * time.Second, "mcplb", []string{"drain", "nodes/node2", "-reason", "kernel update", "-admin", adminAddress}},
}

// The clients, and how many of them come per second.
const clients, arrivals = 240, 5

// state is the directory that mcpcluster keeps, in that of the cluster.
const state = "state"

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
	flag.DurationVar(&o.after, "after", 100*time.Second, "how long there is traffic before the picture is taken")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		stop()
		os.Exit(1)
	}
}

// run starts the cluster and takes the picture.
func run(ctx context.Context, o options) error {
	directory, err := os.MkdirTemp("", "mcplb-pictures-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return err
	}
	c := &cluster{bin: bin, directory: directory}
	if err := os.WriteFile(filepath.Join(directory, configFile), configuration, 0o644); err != nil {
		return err
	}
	nodes, err := c.start(ctx, "mcpcluster", "run", "-state", state, "-c", configFile, "-bin", bin)
	if err != nil {
		return err
	}
	defer nodes.stop()
	if err := answers(ctx); err != nil {
		return err
	}
	load, err := c.start(ctx, "mcpload", "run", "-quiet", "-tcp", tcpAddress, "-http", httpAddress, "-sse-path", "/mcp/sse",
		"-n", strconv.Itoa(clients), "-mix", "tcp=50,http=25,ws=15,sse=10", "-rate", strconv.Itoa(arrivals), "-interval", "2s", "-load", o.after.String())
	if err != nil {
		return err
	}
	defer load.stop()
	if err := c.happen(ctx, o.after); err != nil {
		return err
	}
	picture, err := screenshot(ctx, "http://"+adminAddress+"/")
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes\n", o.out, len(picture))
	return os.WriteFile(o.out, picture, 0o644)
}

// configFile is the name of the balancer's file in the directory of the cluster. The page shows it.
const configFile = "lb.toml"

// cluster is the running cluster.
type cluster struct {
	bin       string // the directory of the programs
	directory string // in which they run
}

// command is one of the programs with arguments.
func (c *cluster) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...)
	command.Dir = c.directory
	return command
}

// happen lets the events come, and returns when all of the time is over.
func (c *cluster) happen(ctx context.Context, all time.Duration) error {
	begin := time.Now()
	for _, e := range events {
		if err := pause(ctx, e.at-time.Since(begin)); err != nil {
			return err
		}
		if output, err := c.command(ctx, e.program, e.args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s", e.program, e.args[0], err, output)
		}
	}
	return pause(ctx, all-time.Since(begin))
}

// process is a program that runs beside this one.
type process struct{ command *exec.Cmd }

// start starts a program. It gets SIGTERM when ctx ends.
func (c *cluster) start(ctx context.Context, program string, args ...string) (*process, error) {
	command := c.command(ctx, program, args...)
	command.Stderr = os.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	return &process{command}, nil
}

// stop ends the process. Clients that end in the middle of their load fail, which is
// no matter here.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	_ = p.command.Wait()
}

// patience is how long the cluster may take to start.
const patience = time.Minute

// answers waits until the balancer is healthy.
func answers(ctx context.Context) error {
	for begin := time.Now(); time.Since(begin) < patience; {
		response, err := http.Get("http://" + adminAddress + "/health")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("the cluster does not start; is another one running on its addresses?")
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
