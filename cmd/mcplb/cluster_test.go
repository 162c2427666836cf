package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// full is the number for a long run, which tests a claim completely. Other runs use
// part:
//
//	MCPLB_LONG=1 go test -v -timeout 40m ./cmd/mcplb
func full(number, part int) int {
	// Read in the test, so that go test knows that its result depends on it.
	if os.Getenv("MCPLB_LONG") != "" {
		return number
	}
	return part
}

// shorter is a third of a number of upgrades, at least two, if time is short: the race
// detector makes each process slow to start.
func shorter(number int) int {
	if testing.Short() {
		return max(2, number/3)
	}
	return number
}

// notInShort skips a test that is mostly about another program, which the race detector
// does not see and a busy machine makes slow. make test runs it.
func notInShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("not with -short")
	}
}

// node is a running mcpnode.
type node struct {
	*process
	name, address string
}

func startNode(t *testing.T, name, address string) *node {
	t.Helper()
	return startNodeOf(t, "tcp", name, address)
}

// startNodeOf starts a node that serves an endpoint: tcp or http.
func startNodeOf(t *testing.T, endpoint, name, address string) *node {
	t.Helper()
	p := startProcess(t, exec.Command(filepath.Join(binaries, "mcpnode"), "-name", name, "-"+endpoint, address))
	p.await(t, `mcpnode is ready`)
	return &node{p, name, address}
}

// cluster is four real MCP nodes and the balancer in front of them.
type cluster struct {
	*balancer
	nodes []*node
}

// startCluster starts a cluster that checks by MCP and has defaults otherwise, except
// for what change sets.
func startCluster(t *testing.T, change func(*setup)) *cluster {
	t.Helper()
	return startClusterOf(t, "tcp", func(s *setup) {
		s.mode, s.check = "mcp", "type = 'mcp'"
		change(s)
	})
}

// startClusterOf starts a cluster of nodes that serve an endpoint: tcp or http.
func startClusterOf(t *testing.T, endpoint string, change func(*setup)) *cluster {
	t.Helper()
	c := &cluster{}
	var servers []string
	for i := range 4 {
		n := startNodeOf(t, endpoint, fmt.Sprint("node", i+1), freeAddress(t))
		c.nodes, servers = append(c.nodes, n), append(servers, n.address)
	}
	s := newSetup(t, servers...)
	s.endpoint = endpoint
	change(s)
	c.balancer = startBalancer(t, s)
	return c
}

// awaitUsable waits until the balancer shows a node in or out of rotation.
func (c *cluster) awaitUsable(t *testing.T, i int, usable bool) {
	t.Helper()
	eventually(t, func() error {
		if server := c.status(t).Backends[0].Servers[i]; server.Usable != usable {
			return fmt.Errorf("%s is shown %s, usable %v: %s", server.Name, server.State, server.Usable, server.Reason)
		}
		return nil
	})
}

// source is the address of client number i.
func source(i int) string { return fmt.Sprintf("127.200.%d.%d", i/250, i%250+1) }

const (
	pingLine      = `{"jsonrpc":"2.0","id":3,"method":"ping"}`
	handshakeLine = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}` +
		"\n" + `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	whoamiLine = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`
)

// whoami opens the MCP session of a new connection and asks for the node's name.
func (c *client) whoami() (string, error) {
	if _, err := io.WriteString(c, handshakeLine+"\n"+whoamiLine+"\n"); err != nil {
		return "", err
	}
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("waiting for the answer of whoami: %w", err)
		}
		if !strings.Contains(line, `"id":2`) {
			continue
		}
		if name := nodeName.FindStringSubmatch(line); name != nil {
			return name[1], nil
		}
		return "", fmt.Errorf("whoami is answered by %s", line)
	}
}

var nodeName = regexp.MustCompile(`"text":"(node\d)"`)

// ping checks that the session still works.
func (c *client) ping() error {
	answer, err := c.roundTrip(pingLine)
	if err == nil && !strings.Contains(answer, `"result":{}`) {
		err = fmt.Errorf("a ping is answered by %s", answer)
	}
	return err
}

// sessionFrom opens a session from a source and returns the name of its node.
func sessionFrom(source, address string) (*client, string, error) {
	c, err := dialFrom(source, address)
	if err != nil {
		return nil, "", err
	}
	name, err := c.whoami()
	if err != nil {
		c.Close()
		return nil, "", fmt.Errorf("from %s: %w", source, err)
	}
	return c, name, nil
}

// leave ends a connection and waits until the balancer has ended it, too.
func (c *client) leave() error {
	defer c.Close()
	if err := errors.Join(c.renew(), c.CloseWrite()); err != nil {
		return err
	}
	if rest, err := io.ReadAll(c.lines); err != nil || len(rest) > 0 {
		return fmt.Errorf("leaving: %w, with %q unread", errors.Join(err), rest)
	}
	return nil
}

// forEach calls work for 0 to n-1, several at a time, and fails the test if there are
// errors.
func forEach(t *testing.T, n int, work func(i int) error) {
	t.Helper()
	forEachOf(t, 16, n, work)
}

// forEachOf is forEach with that many workers.
func forEachOf(t *testing.T, workers, n int, work func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var working sync.WaitGroup
	failed := make([][]error, workers)
	for w := range workers {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := work(i); err != nil {
					failed[w] = append(failed[w], err)
				}
			}
		})
	}
	working.Wait()
	all := slices.Concat(failed...)
	if len(all) > 0 {
		t.Fatalf("%d of %d failed, such as: %v", len(all), n, errors.Join(all[:min(len(all), 3)]...))
	}
}

// held are connections that a test holds, with the node of each.
type held struct {
	clients []*client
	sources []string
	nodes   []string
}

// hold opens n connections, from each source in turn, and asks each for its node.
func (c *cluster) hold(t *testing.T, n, sources int) *held {
	t.Helper()
	h := &held{make([]*client, n), make([]string, n), make([]string, n)}
	t.Cleanup(h.close)
	forEach(t, n, func(i int) (err error) {
		h.sources[i] = source(i % sources)
		h.clients[i], h.nodes[i], err = sessionFrom(h.sources[i], c.frontend)
		return err
	})
	return h
}

// reopen closes connection i and opens another one, which must reach the same node.
func (c *cluster) reopen(h *held, i int) error {
	before := h.nodes[i]
	if err := c.reopenSomewhere(h, i); err != nil {
		return err
	}
	if h.nodes[i] != before {
		return fmt.Errorf("%s was on %s and is now on %s", h.sources[i], before, h.nodes[i])
	}
	return nil
}

// reopenSomewhere closes connection i and opens another one.
func (c *cluster) reopenSomewhere(h *held, i int) error {
	if err := h.clients[i].leave(); err != nil {
		return err
	}
	again, name, err := sessionFrom(h.sources[i], c.frontend)
	if err != nil {
		return err
	}
	h.clients[i], h.nodes[i] = again, name
	return nil
}

// mainShare is how much of a source's connections are on the node with most of them, on
// average.
func (h *held) mainShare() float64 {
	nodes := map[string][]string{}
	for i, node := range h.nodes {
		nodes[h.sources[i]] = append(nodes[h.sources[i]], node)
	}
	sum := 0.0
	for _, of := range nodes {
		most := 0
		for _, node := range of {
			most = max(most, count(of, node))
		}
		sum += float64(most) / float64(len(of))
	}
	return sum / float64(len(nodes))
}

func (h *held) close() {
	for _, c := range h.clients {
		if c != nil {
			c.Close()
		}
	}
}

// expectEven fails the test unless every node has its fair share, within 2 % or 20
// connections, as policy source promises.
func expectEven(t *testing.T, nodes []string) {
	t.Helper()
	fair := float64(len(nodes)) / 4
	for i := range 4 {
		name := fmt.Sprint("node", i+1)
		n := count(nodes, name)
		t.Logf("%s: %d connections of %d", name, n, len(nodes))
		if off := float64(n) - fair; math.Abs(off) > max(0.02*fair, 20) {
			t.Errorf("%s has %d connections, %+.1f off its fair share", name, n, off)
		}
	}
}

// count is how often a name is in nodes.
func count(nodes []string, name string) int {
	n := 0
	for _, node := range nodes {
		if node == name {
			n++
		}
	}
	return n
}
