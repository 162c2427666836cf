package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// startServer starts a server behind the balancer: /large is 64 KB, everything else
// a word, after the request's body has been read.
func startServer() *httptest.Server {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		if r.URL.Path != "/large" {
			fmt.Fprintln(w, "quick")
			return
		}
		_, _ = w.Write(make([]byte, 64<<10)) // 1,000 larger ones would fill the kernel's memory for TCP
	}
	return httptest.NewServer(http.HandlerFunc(handler))
}

// balancer is a running mcplb.
type balancer struct {
	command   *exec.Cmd
	client    string // address
	server    string // that of the server behind it that is attacked, too
	directory string
	log       bytes.Buffer // valid after stop
}

// startBalancer starts it, and waits until it serves. /apart goes to another server, which
// no attack reaches.
func startBalancer(ctx context.Context, binary, server, apart string) (*balancer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{client: listener.Addr().String(), server: server}
	listener.Close()
	if b.directory, err = os.MkdirTemp("", "mcplb-http2-"); err != nil {
		return nil, err
	}
	file := filepath.Join(b.directory, "lb.toml")
	text := fmt.Sprintf("[admin]\nlisten = ''\nhealth_listen = ''\n[ratelimit]\nexempt = ['127.0.0.0/8'] # all clients are one source here\n"+
		"[frontend.http]\nlisten = %q\nmode = 'http'\nhttp2 = true\nbackend = 'nodes'\n[[frontend.http.route]]\npath = '/apart'\nbackend = 'apart'\n[backend.nodes]\n[[backend.nodes.server]]\nname = 'node1'\nhttp = %q\n[backend.apart]\n[[backend.apart.server]]\nname = 'node2'\nhttp = %q\n", b.client, server, apart)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	b.command = exec.Command(binary, "-c", file)
	b.command.Stderr = &b.log
	if err := b.command.Start(); err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := fetch(ctx, client, "http://"+b.client+"/quick")
		if err == nil {
			return b, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			b.stop()
			return nil, fmt.Errorf("mcplb does not serve: %w\n%s", err, b.log.String())
		}
	}
}

// stop stops it.
func (b *balancer) stop() {
	_ = b.command.Process.Kill()
	_ = b.command.Wait()
	_ = os.RemoveAll(b.directory)
}

// cpu returns the CPU time that the balancer has used.
func (b *balancer) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.command.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	total := 0
	for _, field := range fields[11:13] { // utime, stime
		n, _ := strconv.Atoi(field)
		total += n
	}
	const tick = 10 * time.Millisecond
	return time.Duration(total) * tick
}

// resetMemory makes memory count from now on.
func (b *balancer) resetMemory() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", b.command.Process.Pid), []byte("5"), 0)
}

// memory returns the most memory that the balancer has used, in MB.
func (b *balancer) memory() int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.command.Process.Pid))
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	n, _ := strconv.Atoi(number)
	return n >> 10
}
