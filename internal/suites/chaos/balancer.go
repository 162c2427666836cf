package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// balancer is a running mcplb and the processes of its upgrades.
type balancer struct {
	directory string
	pids      []int // that have served, in order
	client    *http.Client
}

func (b *balancer) configFile() string { return filepath.Join(b.directory, "lb.toml") }
func (b *balancer) pidFile() string    { return filepath.Join(b.directory, "pid") }
func (b *balancer) logFile() string    { return filepath.Join(b.directory, "log") }

// startBalancer starts mcplb and waits until it serves.
func startBalancer(ctx context.Context, directory, binary string) (*balancer, error) {
	b := &balancer{directory: directory, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	logged, err := os.Create(b.logFile())
	if err != nil {
		return nil, err
	}
	defer logged.Close()
	command := exec.Command(binary, "-c", b.configFile(), "-pid-file", b.pidFile())
	command.Stderr = logged
	command.Env = append(os.Environ(), "GORACE=log_path="+filepath.Join(directory, "race"))
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() { _ = command.Wait() }() // it ends at the first upgrade
	b.pids = []int{command.Process.Pid}
	if err := b.await(ctx, 30*time.Second, func() bool { _, err := b.status(ctx); return err == nil }); err != nil {
		b.kill()
		return nil, fmt.Errorf("mcplb does not start: %w", err)
	}
	return b, nil
}

// serving is the process that serves.
func (b *balancer) serving() int { return b.pids[len(b.pids)-1] }

// alive reports whether a process exists and has not ended.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(rest, []byte("Z"))
}

// await repeats a check until it holds.
func (b *balancer) await(ctx context.Context, longest time.Duration, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// upgrade replaces the process, and waits until the new one serves. While the process
// before still drains, there can be no other upgrade.
func (b *balancer) upgrade(ctx context.Context) error {
	old := b.serving()
	if n := len(b.pids); n > 1 {
		if err := b.await(ctx, time.Minute, func() bool { return !alive(b.pids[n-2]) }); err != nil {
			return fmt.Errorf("the old process %d has not ended: %w", b.pids[n-2], err)
		}
	}
	if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
		return err
	}
	pid := 0
	err := b.await(ctx, time.Minute, func() bool {
		text, err := os.ReadFile(b.pidFile())
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil && pid != old
	})
	if err != nil {
		return fmt.Errorf("no new process serves: %w", err)
	}
	b.pids = append(b.pids, pid)
	return nil
}

func (b *balancer) hangUp() error { return syscall.Kill(b.serving(), syscall.SIGHUP) }

// kill ends all processes.
func (b *balancer) kill() {
	for _, pid := range b.pids {
		if alive(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// status is the part of /api/v1/status that is checked.
type status struct {
	Process struct {
		PID         int `json:"pid"`
		Connections struct{ Current int }
		OpenFiles   struct{ Used int } `json:"open_files"`
		Reload      struct {
			Time    time.Time
			Success bool
			Error   string
		}
	}
	Frontends []struct {
		Name        string
		Connections struct{ Current int }
	}
	Backends []struct {
		Name    string
		Queued  int `json:"queue_current"`
		Servers []struct {
			Name        string
			State       string
			Connections struct{ Current int }
		}
	}
}

func (b *balancer) status(ctx context.Context) (*status, error) {
	s := new(status)
	text, err := b.call(ctx, http.MethodGet, "/api/v1/status", nil)
	if err == nil {
		err = json.Unmarshal(text, s)
	}
	return s, err
}

// errCommand marks a command that was refused.
var errCommand = errors.New("refused")

// call sends a command to the API, and returns the response's body.
func (b *balancer) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+adminAddress+path, sent)
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Mcplb-Command", "1")
	request.Header.Set("Content-Type", "application/json")
	response, err := b.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 400 {
		return nil, fmt.Errorf("%w: %s %s: %s: %.200s", errCommand, method, path, response.Status, text)
	}
	return text, nil
}

// goroutines reads the metric go_goroutines.
func (b *balancer) goroutines(ctx context.Context) (int, error) {
	text, err := b.call(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^go_goroutines (\d+)`).FindSubmatch(text)
	if found == nil {
		return 0, errors.New("/metrics has no go_goroutines")
	}
	return strconv.Atoi(string(found[1]))
}

// descriptors counts the open files of the serving process.
func (b *balancer) descriptors() int {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.serving()))
	if err != nil {
		return 0 // it has ended, which is found elsewhere
	}
	return len(files)
}

// memory is the resident memory of the serving process, in bytes.
func (b *balancer) memory() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", b.serving()))
	if err != nil {
		return 0 // it has ended, which is found elsewhere
	}
	var size, resident int
	_, _ = fmt.Sscan(string(text), &size, &resident)
	return resident * os.Getpagesize()
}
