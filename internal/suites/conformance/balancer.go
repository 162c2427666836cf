package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// balancer is a running mcplb.
type balancer struct {
	process *process
	admin   string // host:port
	client  string // where clients connect, host:port
	mode    mode
}

// settings are what differs in mcplb's configuration from run to run.
type settings struct {
	mode    mode
	servers []string // addresses
	sse     []string // the path prefixes of the deprecated HTTP+SSE transport
}

// startBalancer starts mcplb in front of the servers and returns when all are
// up. With TLS, the directory has cert.pem and key.pem.
func startBalancer(ctx context.Context, binary string, s settings, directory string) (*balancer, error) {
	addresses, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	b := &balancer{client: addresses[0], admin: addresses[1], mode: s.mode}
	path := filepath.Join(directory, "lb.toml")
	if err := os.WriteFile(path, []byte(configuration(b.client, b.admin, s, directory)), 0o644); err != nil {
		return nil, err
	}
	b.process, err = start(ctx, program{name: "mcplb", path: binary, args: []string{"-c", path}, addr: b.client}, directory)
	if err != nil {
		return nil, err
	}
	if err := b.awaitServers(ctx); err != nil {
		b.process.stop()
		return nil, err
	}
	return b, nil
}

// configuration returns an lb.toml that sets only what is under test.
func configuration(client, admin string, s settings, directory string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "[admin]\nlisten = %q\nhealth_listen = \"\"\n", admin)
	fmt.Fprintf(&text, "[ratelimit]\nexempt = [\"127.0.0.0/8\"] # all clients are one source here\n")
	fmt.Fprintf(&text, "[frontend.http]\nlisten = %q\nmode = \"http\"\nbackend = \"nodes\"\n", client)
	cert, key := filepath.Join(directory, "cert.pem"), filepath.Join(directory, "key.pem")
	if s.mode.tls {
		fmt.Fprintf(&text, "http2 = %t\ntls = { certificates = [{ cert = %q, key = %q }] }\n", s.mode.http2, cert, key)
	}
	for _, path := range s.sse {
		fmt.Fprintf(&text, "[[frontend.http.route]]\npath = %q\nendpoint = \"sse\"\n", path)
	}
	fmt.Fprintf(&text, "[backend.nodes]\nbalance = \"roundrobin\"\n")
	if s.mode.tls {
		fmt.Fprintf(&text, "[backend.nodes.tls]\nca = %q\n", cert)
	}
	for i, server := range s.servers {
		fmt.Fprintf(&text, "[[backend.nodes.server]]\nname = \"node%d\"\nhttp = %q\n", i+1, server)
	}
	return text.String()
}

// status is the part of mcplb's status that is used here.
type status struct {
	Frontends []struct {
		HTTP struct {
			Requests int `json:"requests"`
			Streams  int `json:"http2_streams"`
		} `json:"http"`
	} `json:"frontends"`
	Backends []struct {
		ServersUsable int `json:"servers_usable"`
		ServersTotal  int `json:"servers_total"`
		Servers       []struct {
			MessagesIn int `json:"messages_in"`
		} `json:"servers"`
	} `json:"backends"`
}

func (b *balancer) status(ctx context.Context) (status, error) {
	var s status
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.admin+"/api/v1/status", nil)
	if err != nil {
		return s, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return s, fmt.Errorf("ask mcplb for its status: %w", err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("read mcplb's status: %w", err)
	}
	if len(s.Backends) != 1 || len(s.Frontends) != 1 {
		return s, fmt.Errorf("mcplb's status has %d backends and %d frontends, want 1", len(s.Backends), len(s.Frontends))
	}
	return s, nil
}

func (b *balancer) awaitServers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if s, err := b.status(ctx); err == nil && s.Backends[0].ServersUsable == s.Backends[0].ServersTotal {
			return nil
		}
		select {
		case <-ctx.Done():
			return b.process.failure("its servers did not come up")
		case <-time.After(pollInterval):
		}
	}
}

// spread returns how many messages each server got. If one of several servers
// got them all, or most clients did not speak HTTP/2 where they should, the results
// prove nothing, and it returns an error.
func (b *balancer) spread(ctx context.Context) (string, error) {
	s, err := b.status(ctx)
	if err != nil {
		return "", err
	}
	var parts []string
	used := 0
	for _, server := range s.Backends[0].Servers {
		parts = append(parts, fmt.Sprint(server.MessagesIn))
		if server.MessagesIn > 0 {
			used++
		}
	}
	spread, http2 := strings.Join(parts, "+"), ""
	if h := s.Frontends[0].HTTP; b.mode.http2 {
		if http2 = fmt.Sprintf(", %d of %d requests by HTTP/2", h.Streams, h.Requests); h.Streams <= h.Requests/2 {
			return "", fmt.Errorf("the clients do not speak HTTP/2: messages %s%s", spread, http2)
		}
	}
	if used < min(2, len(parts)) {
		return "", fmt.Errorf("one server got all messages: %s", spread)
	}
	return "messages " + spread + http2, nil
}
