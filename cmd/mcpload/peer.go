package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// peer is a balancer that is measured: one thread, the same two origins behind
// it, configured as a careful operator would for the same work.
type peer struct {
	name    string
	binary  string // where it is; "" = not installed
	config  func(p *peerAddresses) string
	command func(binary, config string) []string
	reload  syscall.Signal
}

// peerAddresses are where a peer listens and whom it forwards to.
type peerAddresses struct {
	tcp, http string
	origins   [2]struct{ tcp, http string }
	directory string // for its own files
	threads   int
}

// peers are the balancers that are installed; the first is mcplb.
func installedPeers(bin string) []peer {
	all := []peer{
		{name: "mcplb", binary: filepath.Join(bin, "mcplb"), config: mcplbConfig, reload: syscall.SIGHUP,
			command: func(binary, config string) []string { return []string{binary, "-c", config} }},
		{name: "HAProxy", binary: find("haproxy"), config: haproxyConfig, reload: syscall.SIGUSR2,
			command: func(binary, config string) []string { return []string{binary, "-W", "-db", "-f", config} }},
		{name: "nginx", binary: find("nginx"), config: nginxConfig, reload: syscall.SIGHUP,
			command: func(binary, config string) []string {
				return []string{binary, "-c", config, "-p", filepath.Dir(config)}
			}},
	}
	return slices.DeleteFunc(all, func(p peer) bool { return p.binary == "" })
}

// find looks for a program where system administrators' programs are, too.
func find(name string) string {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

func mcplbConfig(p *peerAddresses) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[global]\nthreads = %d\n[admin]\nlisten = \"\"\nhealth_listen = \"\"\n[ratelimit]\nexempt = [\"127.0.0.0/8\"]\n", p.threads)
	fmt.Fprintf(&b, "[frontend.tcp]\nlisten = %q\nmode = \"mcp\"\nbackend = \"nodes\"\n", p.tcp)
	fmt.Fprintf(&b, "[frontend.http]\nlisten = %q\nmode = \"http\"\nbackend = \"nodes\"\nbalance = \"leastconn\"\nrequests_per_connection = 100_000_000\n[backend.nodes]\n", p.http)
	for i, origin := range p.origins {
		fmt.Fprintf(&b, "[[backend.nodes.server]]\nname = \"origin%d\"\ntcp = %q\nhttp = %q\nmaxconn = 100_000\n", i+1, origin.tcp, origin.http)
	}
	return b.String()
}

func haproxyConfig(p *peerAddresses) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global\n  maxconn 6000\n  nbthread %d\ndefaults\n  timeout connect 5s\n  timeout client 300s\n  timeout server 300s\n", p.threads)
	fmt.Fprintf(&b, "frontend tcp\n  mode tcp\n  bind %s\n  option splice-auto\n  default_backend tcp_nodes\n", p.tcp)
	fmt.Fprintf(&b, "backend tcp_nodes\n  mode tcp\n  balance source\n  hash-type consistent\n  option splice-auto\n")
	for i, origin := range p.origins {
		fmt.Fprintf(&b, "  server origin%d %s check inter 3s rise 2 fall 2\n", i+1, origin.tcp)
	}
	fmt.Fprintf(&b, "frontend http\n  mode http\n  bind %s\n  option forwardfor\n  default_backend http_nodes\n", p.http)
	fmt.Fprintf(&b, "backend http_nodes\n  mode http\n  balance leastconn\n  http-reuse always\n  cookie SERVERID insert indirect nocache\n")
	for i, origin := range p.origins {
		fmt.Fprintf(&b, "  server origin%d %s check inter 3s rise 2 fall 2 cookie o%d\n", i+1, origin.http, i+1)
	}
	return b.String()
}

// nginxModule is where Debian has nginx's stream module, which others have
// built in.
const nginxModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

func nginxConfig(p *peerAddresses) string {
	var b strings.Builder
	if _, err := os.Stat(nginxModule); err == nil {
		fmt.Fprintf(&b, "load_module %s;\n", nginxModule)
	}
	fmt.Fprintf(&b, "worker_processes %d;\ndaemon off;\npid %s/nginx.pid;\nerror_log /dev/null;\nworker_rlimit_nofile 20000;\nevents { worker_connections 9500; }\n", p.threads, p.directory)
	fmt.Fprintf(&b, "stream {\n  upstream tcp { hash $remote_addr consistent; server %s; server %s; }\n  server { listen %s; proxy_pass tcp; }\n}\n",
		p.origins[0].tcp, p.origins[1].tcp, p.tcp)
	fmt.Fprintf(&b, "http {\n  access_log off;\n  keepalive_requests 100000000;\n  upstream http { least_conn; server %s; server %s; keepalive 512; }\n", p.origins[0].http, p.origins[1].http)
	fmt.Fprintf(&b, `  server {
    listen %s;
    location / {
      proxy_pass http://http;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_buffering off;
    }
  }
}
`, p.http)
	return b.String()
}

// process is a program that was started and is ended by its own id.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	output  bytes.Buffer // complete when ended is closed
}

// startProcess starts a program in a process group of its own.
func startProcess(argv []string) (*process, error) {
	p := &process{command: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.command.WaitDelay = time.Second
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait() // how it ended is told by those who wait for what it does
	}()
	return p, nil
}

// pid is the process's id.
func (p *process) pid() int { return p.command.Process.Pid }

// stop ends the process and all that it has started.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGINT) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(3 * time.Second):
	}
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.ended
}

// awaitServing waits until an MCP client is answered at an address.
func (p *process) awaitServing(ctx context.Context, o options) error {
	o.clients, o.load, o.monitor, o.quiet = 1, 0, 0, true
	o.openTimeout = 200 * time.Millisecond
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; {
		if err := o.validate(); err != nil {
			return err
		}
		report, err := doRun(ctx, &o, &bytes.Buffer{})
		if err != nil || report.Held == 1 {
			return err
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended: %s", p.command.Path, p.output.String())
		default:
		}
	}
	return cmpErr(ctx.Err(), errors.New(p.command.Path+" does not serve"))
}

// family are a process and its descendants.
func family(pid int) []int {
	pids := []int{pid}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return pids
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // it has ended
		}
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, family(child)...)
			}
		}
	}
	return pids
}

// usageOfFamily adds up what a process and its descendants have in use.
func usageOfFamily(pid int) usage {
	var sum usage
	for _, one := range family(pid) {
		u, err := usageOf(one, true)
		if err != nil {
			continue // it has ended
		}
		sum.Resident += u.Resident
		sum.CPU += u.CPU
		sum.Files += u.Files
	}
	return sum
}
