package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// place is where a balancer listens, and what is behind it.
type place struct {
	plain, secure string // addresses; HTTP/2 is taken by prior knowledge, or offered by ALPN
	server        string
	directory     string // has cert.pem and key.pem
}

func (p *place) file(name string) string { return filepath.Join(p.directory, name) }

// balancer is a program to be measured.
type balancer struct {
	name   string
	argv   func(configuration string) []string
	config func(*place) string
}

// installed returns the balancers that can be measured.
func installed(mcplb string) []balancer {
	ours := func(configuration string) []string { return []string{mcplb, "-c", configuration} }
	all := []balancer{
		{"mcplb", ours, func(p *place) string { return mcplbConfig(p, "") }},
		{"mcplb, requests_per_connection = 0", ours, func(p *place) string { return mcplbConfig(p, "requests_per_connection = 0\n") }},
	}
	for _, other := range []balancer{
		{"haproxy", func(configuration string) []string { return []string{"haproxy", "-db", "-f", configuration} }, haproxyConfig},
		{"nginx", func(configuration string) []string { return []string{"nginx", "-e", "stderr", "-c", configuration} }, nginxConfig},
	} {
		if _, err := exec.LookPath(other.name); err == nil {
			all = append(all, other)
		}
	}
	return all
}

func mcplbConfig(p *place, lines string) string {
	frontend := func(name, listen, more string) string {
		return fmt.Sprintf("[frontend.%s]\nlisten = %q\nmode = \"http\"\nbackend = \"nodes\"\nhttp2 = true\n%s%s", name, listen, lines, more)
	}
	return "[global]\nthreads = 1\n[admin]\nlisten = \"\"\nhealth_listen = \"\"\n[ratelimit]\nexempt = [\"127.0.0.0/8\"]\n" +
		frontend("plain", p.plain, "") +
		frontend("secure", p.secure, fmt.Sprintf("tls = { certificates = [{ cert = %q, key = %q }] }\n", p.file("cert.pem"), p.file("key.pem"))) +
		fmt.Sprintf("[backend.nodes]\n[[backend.nodes.server]]\nname = \"server\"\nhttp = %q\n", p.server)
}

func haproxyConfig(p *place) string {
	return fmt.Sprintf(`global
  maxconn 9000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend plain
  bind %s
  default_backend nodes
frontend secure
  bind %s ssl crt %s alpn h2,http/1.1
  default_backend nodes
backend nodes
  http-reuse always
  option forwardfor
  cookie SERVERID insert indirect nocache
  server server %s check cookie s
`, p.plain, p.secure, p.file("both.pem"), p.server)
}

func nginxConfig(p *place) string {
	return fmt.Sprintf(`worker_processes 1; daemon off; pid %[1]s/pid; worker_rlimit_nofile 19000; user root;
events { worker_connections 9000; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 300s;
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  upstream nodes { server %[2]s; keepalive 512; keepalive_requests 100000000; }
  server {
    listen %[3]s http2;
    listen %[4]s ssl http2;
    ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem;
    location / {
      proxy_pass http://nodes; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $remote_addr;
    }
  }
}
`, p.directory, p.server, p.plain, p.secure)
}
