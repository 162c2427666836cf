package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// options holds the command line's values.
type options struct {
	mcplb       string        // the balancer's binary
	connections int           // slow connections of an attack
	seconds     int           // of each attack
	patience    time.Duration // of the other clients
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var o options
	flag.StringVar(&o.mcplb, "mcplb", filepath.Join("bin", "mcplb"), "the balancer's binary, a `file`")
	flag.IntVar(&o.connections, "connections", 4000, "number of slow `connections`")
	flag.IntVar(&o.seconds, "seconds", 60, "length of each attack in `seconds`")
	flag.DurationVar(&o.patience, "patience", 10*time.Second, "how long other clients wait for a response")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "slowhttp:", err)
		stop()
		os.Exit(1)
	}
}

// attacks are slowhttptest's arguments. A client that reads the response to GET
// / slowly leaves most of it in the balancer. The response is not larger
// because 4,000 larger ones would fill the kernel's memory for TCP
// (net.ipv4.tcp_mem), whatever the proxy.
var attacks = []struct {
	name string
	args []string
}{
	{"slow head", []string{"-H", "-i", "5", "-t", "GET"}},
	{"slow body", []string{"-B", "-i", "5", "-t", "POST", "-s", "100000", "-x", "10"}},
	{"slow read", []string{"-X", "-w", "10", "-y", "20", "-n", "5", "-z", "10"}},
}

func run(ctx context.Context, o options) error {
	if _, err := exec.LookPath("slowhttptest"); err != nil {
		return fmt.Errorf("slowhttptest is needed (apt-get install slowhttptest): %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(respond)}
	go server.Serve(listener) // ends with Close
	defer server.Close()
	b, err := startBalancer(ctx, o.mcplb, listener.Addr().String())
	if err != nil {
		return err
	}
	defer b.stop()
	fmt.Printf("%-10s %12s %9s %7s %9s %9s %9s\n", "attack", "slow at once", "requests", "failed", "median", "99 %", "longest")
	failed := 0
	for _, attack := range attacks {
		r, err := b.withstand(ctx, o, attack.args)
		if err != nil {
			return fmt.Errorf("%s: %w", attack.name, err)
		}
		fmt.Printf("%-10s %12d %9d %7d %9v %9v %9v\n", attack.name, r.slow, len(r.took)+r.failed, r.failed, r.quantile(0.5), r.quantile(0.99), r.quantile(1))
		failed += r.failed
	}
	if failed > 0 {
		return fmt.Errorf("%d requests of other clients failed", failed)
	}
	return nil
}

// respond reads the request's body, and responds to /quick with a word, to
// everything else with 64 KiB.
func respond(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	if r.URL.Path == "/quick" {
		fmt.Fprintln(w, "quick")
		return
	}
	_, _ = w.Write(make([]byte, 64<<10))
}

// balancer is a running mcplb.
type balancer struct {
	command       *exec.Cmd
	client, admin string // addresses
	directory     string
}

func startBalancer(ctx context.Context, binary, server string) (*balancer, error) {
	b := &balancer{}
	for _, address := range []*string{&b.client, &b.admin} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*address = listener.Addr().String()
		listener.Close()
	}
	var err error
	if b.directory, err = os.MkdirTemp("", "mcplb-slowhttp-"); err != nil {
		return nil, err
	}
	file := filepath.Join(b.directory, "lb.toml")
	text := fmt.Sprintf("[admin]\nlisten = %q\nhealth_listen = ''\n[ratelimit]\nexempt = ['127.0.0.0/8'] # all clients are one source here\n"+
		"[frontend.http]\nlisten = %q\nmode = 'http'\nbackend = 'nodes'\n[backend.nodes]\n[[backend.nodes.server]]\nname = 'node1'\nhttp = %q\n", b.admin, b.client, server)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	b.command = exec.Command(binary, "-c", file)
	b.command.Stderr = os.Stderr
	if err := b.command.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := b.current(ctx); err == nil {
			return b, nil
		} else if time.Now().After(deadline) {
			b.stop()
			return nil, fmt.Errorf("mcplb does not start: %w", err)
		}
	}
}

func (b *balancer) stop() {
	_ = b.command.Process.Kill()
	_ = b.command.Wait()
	_ = os.RemoveAll(b.directory)
}

// current returns the number of connected clients.
func (b *balancer) current(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.admin+"/api/v1/status", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var status struct {
		Process struct {
			Connections struct{ Current int }
		}
	}
	err = json.NewDecoder(response.Body).Decode(&status)
	return status.Process.Connections.Current, err
}

// result holds the results of other clients during an attack.
type result struct {
	mu     sync.Mutex
	took   []time.Duration // guarded by mu
	failed int             // guarded by mu
	slow   int             // the most slow connections at once
}

// withstand runs the other clients while slowhttptest attacks.
func (b *balancer) withstand(ctx context.Context, o options, args []string) (*result, error) {
	args = append(slices.Clone(args), "-u", "http://"+b.client+"/", "-c", strconv.Itoa(o.connections), "-r", "1000",
		"-l", strconv.Itoa(o.seconds), "-p", "5")
	command := exec.CommandContext(ctx, "slowhttptest", args...)
	command.Dir = b.directory
	if err := command.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	asking, enough := context.WithCancel(ctx)
	defer enough()
	const others = 4
	r := &result{}
	var clients sync.WaitGroup
	for range others {
		clients.Go(func() { r.ask(asking, "http://"+b.client+"/quick", o.patience) })
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			enough()
			clients.Wait()
			var exit *exec.ExitError
			if errors.As(err, &exit) && ctx.Err() == nil {
				err = nil // the status is its verdict on the service; our own clients measure that
			}
			return r, err
		case <-tick.C:
			if n, err := b.current(ctx); err == nil {
				r.slow = max(r.slow, n-others)
			}
		}
	}
}

// ask sends requests until ctx ends, every other one over a new connection.
func (r *result) ask(ctx context.Context, url string, patience time.Duration) {
	persistent := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	defer persistent.CloseIdleConnections()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for client, other := persistent, fresh; ; client, other = other, client {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begun := time.Now()
		err := fetch(client, url)
		r.mu.Lock()
		if r.took = append(r.took, time.Since(begun)); err != nil {
			r.took = r.took[:len(r.took)-1]
			r.failed++
			fmt.Fprintln(os.Stderr, "slowhttp: another client:", err)
		}
		r.mu.Unlock()
	}
}

func fetch(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// quantile returns the time within which that part of the requests got a
// response.
func (r *result) quantile(part float64) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	slices.Sort(r.took)
	return r.took[int(part*float64(len(r.took)-1))].Round(100 * time.Microsecond)
}
