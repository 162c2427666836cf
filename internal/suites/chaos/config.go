package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Addresses of the balancer. Disturbed clients connect from 127.77.0.0/16, steady
// ones from 127.78.0.0/16.
const (
	adminAddress = "127.77.0.1:8404"
	host         = "127.77.0.1"
	tcpPort      = 8000
	mcpPort      = 8001
	httpPort     = 8002
	httpsPort    = 8003
	proxyPort    = 8004
	http2Port    = 8005
	http2sPort   = 8006
	mcpsPort     = 8007
	sniPort      = 8008
	steadyOffset = 100 // what the ports of steady frontends have more
)

func address(port int) string { return fmt.Sprintf("%s:%d", host, port) }

// settings are what reloads change at random.
type settings struct {
	servers  []*server // of the disturbed backend
	weights  []int
	maxconn  int
	balance  string
	onDown   string
	limited  bool // the rate of messages and connections
	compress bool
}

// variation returns settings for a reload: some of the servers, other values.
func variation(random *rand.Rand, servers []*server) settings {
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	s := settings{
		maxconn:  []int{0, 5, 40, 1000}[random.IntN(4)],
		balance:  pick("source", "leastconn", "roundrobin", "random"),
		onDown:   pick("close", "keep"),
		limited:  random.IntN(3) == 0,
		compress: random.IntN(2) == 0,
	}
	removed := random.IntN(2 * len(servers)) // of no server as often as of one
	for i, server := range servers {
		if i != removed {
			s.servers, s.weights = append(s.servers, server), append(s.weights, 1+random.IntN(200))
		}
	}
	return s
}

// text is the configuration file. Steady frontends and their backend are the same in all.
func (s settings) text(directory string, steady *server) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[global]\nhard_stop_after = '30s'\naccess_log = %q", filepath.Join(directory, "access.log"))
	line("[admin]\nlisten = %q\nhealth_listen = ''", adminAddress)
	line("[ratelimit]\nexempt = ['127.78.0.0/16']\nban_after = 50\nban_time = '2s'")
	if s.limited {
		line("message_rate = 200\nmessage_burst = 50\nconnection_rate = 50\nconnection_burst = 50")
	} else {
		line("message_rate = 0\nconnection_rate = 0")
	}
	line("[resolver]\nnameservers = [%q]\ntimeout = '300ms'\nmax_ttl = '2s'", nameServerAddress)
	s.frontends(line, directory)
	for _, kind := range backendKinds {
		line("[backend.nodes%s]\nbalance = %q\non_down = %q\ntimeout_queue = '2s'\ntimeout_connect = '2s'%s\n[backend.nodes%[1]s.check]\ninterval = '500ms'\nfast_interval = '200ms'\ntimeout = '1s'", kind.suffix, s.balance, s.onDown, kind.table("nodes", directory))
		for i, server := range s.servers {
			line("[[backend.nodes%s.server]]\n%s\nweight = %d\nmaxconn = %d", kind.suffix, kind.server(server), s.weights[i], s.maxconn)
		}
		line("[backend.steady%s]\ntimeout_connect = '30s'\ntimeout_queue = '30s'%s\n[backend.steady%[1]s.check]\ntimeout = '30s'\ninterval = '30s'\nfall = 10", kind.suffix, kind.table("steady", directory))
		line("[[backend.steady%s.server]]\n%s", kind.suffix, kind.server(steady))
	}
	return b.String()
}

// frontends writes those of the disturbed and of the steady clients.
func (s settings) frontends(line func(string, ...any), directory string) {
	secure := fmt.Sprintf("tls = { certificates = [{ cert = %q, key = %q }] }", filepath.Join(directory, "cert.pem"), filepath.Join(directory, "key.pem"))
	compress := "compress = []"
	if s.compress {
		compress = ""
	}
	for i, backend := range []string{"nodes", "steady"} {
		frontend := func(name, mode string, port int, suffix string, extra ...string) {
			line("[frontend.%s-%s]\nlisten = %q\nmode = %q\nbackend = %q", backend, name, address(port+i*steadyOffset), mode, backend+suffix)
			line("%s", strings.Join(extra, "\n"))
		}
		frontend("tcp", "tcp", tcpPort, "")
		frontend("mcp", "mcp", mcpPort, "")
		frontend("http", "http", httpPort, "", compress, "timeout_http_request = '3s'")
		frontend("https", "http", httpsPort, "", secure)
		frontend("proxy", "mcp", proxyPort, "", "accept_proxy = true\ntrusted_proxies = ['127.0.0.0/8']")
		frontend("h2", "http", http2Port, "", "http2 = true", compress)
		frontend("h2s", "http", http2sPort, "-tls", "http2 = true", secure)
		frontend("mcps", "mcp", mcpsPort, "-tls", secure)
		frontend("sni", "tcp", sniPort, "", fmt.Sprintf("[[frontend.%s-sni.route]]\nsni = ['*.chaos.test']\nbackend = '%[1]s-sni'", backend))
	}
}

// backendKind is a way to reach the servers.
type backendKind struct{ suffix string }

// backendKinds are: by address without TLS, by name with TLS, and TLS that is passed through.
var backendKinds = []backendKind{{""}, {"-tls"}, {"-sni"}}

// table has the TLS settings of a backend.
func (k backendKind) table(backend, directory string) string {
	if k.suffix != "-tls" {
		return ""
	}
	return fmt.Sprintf("\n[backend.%s-tls.tls]\nca = %q", backend, filepath.Join(directory, "ca.pem"))
}

func (k backendKind) server(s *server) string {
	ip, _, _ := strings.Cut(s.http, ":")
	switch k.suffix {
	case "-tls":
		return fmt.Sprintf("name = %q\ntcp = '%s:%d'\nhttp = '%[2]s:%[4]d'", s.name, s.hostName(), secureLinesPort, secureNodePort)
	case "-sni":
		return fmt.Sprintf("name = %q\ntcp = '%s:%d'", s.name, ip, secureLinesPort)
	}
	return fmt.Sprintf("name = %q\ntcp = %q\nhttp = %q", s.name, s.lines, s.http)
}

// write replaces the configuration file in one step.
func write(file, text string) error {
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
