package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/proxy/admin"
)

// command sends a command to the API, through the address of what passes it on, and returns
// the status.
func command(t *testing.T, address string, head ...string) int {
	t.Helper()
	r, err := http.NewRequest("PATCH", "http://"+address+"/api/v1/backends/nodes/servers/node1", strings.NewReader(`{"weight":50}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
		if head[i] == "Host" {
			r.Host = head[i+1]
		}
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// A proxy on the same machine, configured as in the first example of its manual, gives its
// clients no right to commands: neither programs nor pages.
func TestProxiesGiveNoCommands(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	b := startBalancer(t, s)
	if status := command(t, b.admin); status != http.StatusForbidden {
		t.Errorf("a command without the header: status %d", status)
	}
	if status := command(t, b.admin, admin.CommandHeader, "1"); status != http.StatusOK {
		t.Errorf("a command with the header: status %d", status)
	}
	for name, start := range map[string]func(t *testing.T, address, upstream string){"nginx": startPlainNginx, "haproxy": startPlainHAProxy} {
		if _, err := exec.LookPath(name); err != nil {
			t.Logf("%s is not installed", name)
			continue
		}
		address := freeAddress(t)
		start(t, address, b.admin)
		awaitAnswer(t, address)
		if status := command(t, address); status != http.StatusForbidden {
			t.Errorf("through %s: status %d", name, status)
		}
		if status := command(t, address, admin.CommandHeader, "1", "Origin", "http://"+address, "Sec-Fetch-Site", "same-origin", "Host", "lb.example"); status != http.StatusForbidden {
			t.Errorf("the page's own button, through %s: status %d", name, status)
		}
		if status := command(t, address, admin.CommandHeader, "1"); name == "nginx" && status != http.StatusForbidden {
			t.Errorf("a forged header through %s: status %d", name, status)
		}
	}
}

// awaitAnswer waits until the status can be requested at an address.
func awaitAnswer(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if response, err := http.Get("http://" + address + "/health"); err == nil {
			response.Body.Close()
			return
		}
	}
	t.Fatalf("nothing answers at %s", address)
}

func startPlainNginx(t *testing.T, address, upstream string) {
	directory := t.TempDir()
	startProgram(t, filepath.Join(directory, "nginx.conf"), fmt.Sprintf(`pid %[1]s/pid; error_log %[1]s/log; daemon off; worker_processes 1; user root;
events {}
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
server { listen %[2]s; location / { proxy_pass http://%[3]s; } } }
`, directory, address, upstream), "nginx", "-c")
}

func startPlainHAProxy(t *testing.T, address, upstream string) {
	startProgram(t, filepath.Join(t.TempDir(), "haproxy.cfg"), fmt.Sprintf("defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\nfrontend f\n  bind %s\n  default_backend b\nbackend b\n  server s %s\n", address, upstream), "haproxy", "-db", "-f")
}

// startProgram writes a configuration and runs a program with it until the test ends.
func startProgram(t *testing.T, path, text string, command ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := exec.Command(command[0], append(command[1:], path)...)
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // if the tests are killed
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Signal(syscall.SIGTERM) // SIGINT is ignored where a shell runs the tests in the background
		_ = program.Wait()
	})
}

// A reload changes who may open the page, and how many connections the addresses take.
func TestAdminLimitsReload(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	s.adminLines = "max_connections = 4\n"
	b := startBalancer(t, s)
	page := func() int {
		r, err := http.NewRequest("GET", "http://"+b.admin+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "lb.internal:8404"
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if status := page(); status != http.StatusForbidden {
		t.Errorf("the page under a foreign name: status %d", status)
	}
	var idle []net.Conn
	for i := range 20 {
		conn, err := net.Dial("tcp", map[bool]string{true: b.admin, false: b.health}[i%2 == 0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
	}
	if status, _, stderr := mcplb("status", "-admin", b.admin); status != 0 {
		t.Errorf("a command beside idle connections: %d %s", status, stderr)
	}
	_ = idle[0].SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := bufio.NewReader(idle[0]).ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the longest idle of 20 connections is still open: %v", err)
	}
	s.adminLines = "hosts = ['lb.internal']\n"
	s.write(t)
	if status, _, stderr := mcplb("reload", "-admin", b.admin); status != 0 {
		t.Fatalf("reload: %d %s", status, stderr)
	}
	if status := page(); status != http.StatusOK {
		t.Errorf("the page under its own name: status %d", status)
	}
}
