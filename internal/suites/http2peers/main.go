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
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"mcplb/cmd/mcpload/proc"
	"mcplb/internal/certificate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	mcplb := flag.String("mcplb", filepath.Join("bin", "mcplb"), "the balancer's binary, a `file`")
	cache := flag.String("cache", "", "install Node and undici in this `directory` (default mcplb-http2peers in the user's cache)")
	flag.Parse()
	if err := run(ctx, *mcplb, *cache, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "http2peers:", err)
		stop()
		os.Exit(1)
	}
}

// serve answers requests with the number of bytes in their body, or with an event stream.
func serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/events" {
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			fmt.Fprintf(w, "%d bytes", n)
		}
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for n := 0; r.Context().Err() == nil; n++ {
		fmt.Fprintf(w, "data: %d\n\n", n)
		w.(http.Flusher).Flush()
		select {
		case <-ticker.C:
		case <-r.Context().Done():
		}
	}
}

// balancer is a running mcplb.
type balancer struct {
	plain, secure string // addresses
	trusted       string // the file of its certificate
}

// start starts mcplb in front of a server; stop ends it.
func start(ctx context.Context, binary, server, directory string) (b *balancer, stop func(), err error) {
	const host = "127.78.0.2" // no other program uses it: ports stay free
	if err := certificate.WriteSelfSigned(directory, host); err != nil {
		return nil, nil, err
	}
	b = &balancer{trusted: filepath.Join(directory, "cert.pem")}
	if b.plain, b.secure, err = freeAddresses(host); err != nil {
		return nil, nil, err
	}
	file := filepath.Join(directory, "lb.toml")
	if err := os.WriteFile(file, []byte(b.configuration(server, filepath.Join(directory, "key.pem"))), 0o600); err != nil {
		return nil, nil, err
	}
	process, err := proc.Start([]string{binary, "-c", file})
	if err != nil {
		return nil, nil, err
	}
	client := &http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		answer, err := client.Get("http://" + b.plain + "/")
		if err == nil {
			answer.Body.Close()
			return b, process.Stop, nil
		}
		if output, ended := process.Ended(); ended || time.Now().After(deadline) || ctx.Err() != nil {
			process.Stop()
			return nil, nil, fmt.Errorf("mcplb does not serve: %w\n%s", err, output)
		}
	}
}

// freeAddresses returns two addresses of a host where no program listens.
func freeAddresses(host string) (one, other string, err error) {
	first, err := net.Listen("tcp", host+":0")
	if err != nil {
		return "", "", err
	}
	defer first.Close()
	second, err := net.Listen("tcp", host+":0")
	if err != nil {
		return "", "", err
	}
	defer second.Close()
	return first.Addr().String(), second.Addr().String(), nil
}

func (b *balancer) configuration(server, key string) string {
	text := "[admin]\nlisten = \"\"\nhealth_listen = \"\"\n[ratelimit]\nexempt = [\"127.0.0.0/8\"]\n"
	for name, lines := range map[string]string{
		"plain":  fmt.Sprintf("listen = %q\n", b.plain),
		"secure": fmt.Sprintf("listen = %q\ntls = { certificates = [{ cert = %q, key = %q }] }\n", b.secure, b.trusted, key),
	} {
		text += fmt.Sprintf("[frontend.%s]\nmode = \"http\"\nbackend = \"nodes\"\nhttp2 = true\n%s", name, lines)
	}
	return text + fmt.Sprintf("[backend.nodes]\n[[backend.nodes.server]]\nname = \"server\"\nhttp = %q\n", server)
}

// run runs all peers, and writes a line for each.
func run(ctx context.Context, binary, cache string, out io.Writer) error {
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find the user's cache: %w; name a directory with -cache", err)
		}
		cache = filepath.Join(user, "mcplb-http2peers")
	}
	if err := install(ctx, cache); err != nil {
		return err
	}
	server := httptest.NewServer(http.HandlerFunc(serve))
	defer server.CloseClientConnections()
	directory, err := os.MkdirTemp("", "mcplb-http2peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	b, stop, err := start(ctx, binary, server.Listener.Addr().String(), directory)
	if err != nil {
		return err
	}
	defer stop()
	table := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
	defer table.Flush()
	wrong := 0
	for _, p := range peers {
		for _, secure := range []bool{true, false} {
			want := p.secure
			if !secure {
				want = p.plain
			}
			if want == "" {
				continue
			}
			note, found := p.run(ctx, &trial{b, cache, directory, secure})
			verdict := "as expected"
			if !strings.Contains(found, want) {
				verdict = "WRONG: expected " + want
				wrong++
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", p.name, note, map[bool]string{true: "TLS", false: "prior knowledge"}[secure], found, verdict)
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d peers found other than expected", wrong)
	}
	return ctx.Err()
}

// undicis are the versions of undici that are tried: one that hangs beside event streams,
// the first that does not, and a recent one.
var undicis = []string{"8.7.0", "8.8.0", "8.13.1"}

// install installs Node and undici, unless they are there.
func install(ctx context.Context, cache string) error {
	packages := map[string]string{"node": "node@26"}
	for _, version := range undicis {
		packages["undici-"+version] = "undici@" + version
	}
	for name, pack := range packages {
		directory := filepath.Join(cache, name)
		if _, err := os.Stat(filepath.Join(directory, "installed")); err == nil {
			continue
		}
		manifest, _ := json.Marshal(map[string]any{"private": true}) // it can be marshalled
		if err := errors.Join(os.MkdirAll(directory, 0o755), os.WriteFile(filepath.Join(directory, "package.json"), manifest, 0o644)); err != nil {
			return err
		}
		command := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--loglevel=error", pack)
		command.Dir = directory
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("npm install %s: %w\n%s; is npm installed and the npm registry reachable?", pack, err, output)
		}
		if err := os.WriteFile(filepath.Join(directory, "installed"), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}
