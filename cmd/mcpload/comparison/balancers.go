package comparison

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// balancer is a program that is measured, configured as a careful operator would
// configure it for the same work.
type balancer struct {
	name    string
	binary  string // its path; "" = not installed
	config  func(s *setup) string
	command func(binary, config string) []string
	reload  syscall.Signal
}

// setup is where a balancer listens and what is behind it.
type setup struct {
	lines, http string // host:port of the frontends
	origins     [2]addresses
	directory   string // for its files
	threads     int
}

// addresses are the two of an origin.
type addresses struct{ lines, http string }

// installed returns the balancers that are installed; the first is mcplb, in the
// directory bin.
func installed(bin string) []balancer {
	all := []balancer{
		{name: "mcplb", binary: filepath.Join(bin, "mcplb"), config: mcplbConfig, reload: syscall.SIGHUP,
			command: func(binary, config string) []string { return []string{binary, "-c", config} }},
		{name: "HAProxy", binary: find("haproxy"), config: haproxyConfig, reload: syscall.SIGUSR2,
			command: func(binary, config string) []string { return []string{binary, "-W", "-db", "-f", config} }},
		{name: "nginx", binary: find("nginx"), config: nginxConfig, reload: syscall.SIGHUP,
			command: func(binary, config string) []string {
				return []string{binary, "-c", config, "-p", filepath.Dir(config)}
			}},
	}
	return slices.DeleteFunc(all, func(b balancer) bool { return b.binary == "" })
}

// find looks for a program in PATH and where programs of administrators are.
func find(name string) string {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

func mcplbConfig(s *setup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[global]\nthreads = %d\n[admin]\nlisten = \"\"\nhealth_listen = \"\"\n[ratelimit]\nexempt = [\"127.0.0.0/8\"]\n", s.threads)
	fmt.Fprintf(&b, "[frontend.tcp]\nlisten = %q\nmode = \"mcp\"\nbackend = \"nodes\"\n", s.lines)
	fmt.Fprintf(&b, "[frontend.http]\nlisten = %q\nmode = \"http\"\nbackend = \"nodes\"\nbalance = \"leastconn\"\nrequests_per_connection = 100_000_000\n[backend.nodes]\n", s.http)
	for i, origin := range s.origins {
		fmt.Fprintf(&b, "[[backend.nodes.server]]\nname = \"origin%d\"\ntcp = %q\nhttp = %q\nmaxconn = 100_000\n", i+1, origin.lines, origin.http)
	}
	return b.String()
}

func haproxyConfig(s *setup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global\n  maxconn 6000\n  nbthread %d\ndefaults\n  timeout connect 5s\n  timeout client 300s\n  timeout server 300s\n", s.threads)
	fmt.Fprintf(&b, "frontend tcp\n  mode tcp\n  bind %s\n  option splice-auto\n  default_backend tcp_nodes\n", s.lines)
	fmt.Fprintf(&b, "backend tcp_nodes\n  mode tcp\n  balance source\n  hash-type consistent\n  option splice-auto\n")
	for i, origin := range s.origins {
		fmt.Fprintf(&b, "  server origin%d %s check inter 3s rise 2 fall 2\n", i+1, origin.lines)
	}
	fmt.Fprintf(&b, "frontend http\n  mode http\n  bind %s\n  option forwardfor\n  default_backend http_nodes\n", s.http)
	fmt.Fprintf(&b, "backend http_nodes\n  mode http\n  balance leastconn\n  http-reuse always\n  cookie SERVERID insert indirect nocache\n")
	for i, origin := range s.origins {
		fmt.Fprintf(&b, "  server origin%d %s check inter 3s rise 2 fall 2 cookie o%d\n", i+1, origin.http, i+1)
	}
	return b.String()
}

// nginxModule is Debian's stream module, which other builds have built in.
const nginxModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

func nginxConfig(s *setup) string {
	var b strings.Builder
	if _, err := os.Stat(nginxModule); err == nil {
		fmt.Fprintf(&b, "load_module %s;\n", nginxModule)
	}
	fmt.Fprintf(&b, "worker_processes %d;\ndaemon off;\npid %s/nginx.pid;\nerror_log /dev/null;\nworker_rlimit_nofile 20000;\nevents { worker_connections 9500; }\n", s.threads, s.directory)
	fmt.Fprintf(&b, "stream {\n  upstream tcp { hash $remote_addr consistent; server %s; server %s; }\n  server { listen %s; proxy_pass tcp; }\n}\n",
		s.origins[0].lines, s.origins[1].lines, s.lines)
	fmt.Fprintf(&b, "http {\n  access_log off;\n  keepalive_requests 100000000;\n  upstream http { least_conn; server %s; server %s; keepalive 512; }\n", s.origins[0].http, s.origins[1].http)
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
`, s.http)
	return b.String()
}
