package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// sdkConnect opens a session with the client of the official SDK.
func sdkConnect(source, address string, options *mcp.ClientOptions) (*mcp.ClientSession, error) {
	dialer := net.Dialer{Timeout: patience}
	if source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	session, err := client.Connect(context.Background(), &mcp.IOTransport{Reader: conn, Writer: conn}, nil)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("opening a session from %s: %w", source, err)
	}
	return session, nil
}

// callTool calls a tool and returns its answer, which must be one text.
func callTool(session *mcp.ClientSession, params *mcp.CallToolParams) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	result, err := session.CallTool(ctx, params)
	if err != nil {
		return "", err
	}
	if len(result.Content) != 1 || result.IsError {
		return "", fmt.Errorf("%s answers %v", params.Name, result.Content)
	}
	content, ok := result.Content[0].(*mcp.TextContent)
	if !ok {
		return "", fmt.Errorf("%s answers %T, not a text", params.Name, result.Content[0])
	}
	return content.Text, nil
}

// A session of the official SDK through the balancer does everything that an MCP
// client does first, and makes a slow call that reports progress, concurrently with a
// quick one.
func TestSDKSession(t *testing.T) {
	t.Parallel()
	c := startCluster(t, func(*setup) {})
	const steps = 5
	progress := make(chan float64, steps)
	session, err := sdkConnect("", c.frontend, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, request *mcp.ProgressNotificationClientRequest) {
			progress <- request.Params.Progress
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if info := session.InitializeResult().ServerInfo; info.Name != "mcpnode" || !strings.HasPrefix(info.Title, "node") {
		t.Errorf("the server is %s (%s), want mcpnode (node...)", info.Name, info.Title)
	}
	listed, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var tools []string
	for _, tool := range listed.Tools {
		tools = append(tools, tool.Name)
	}
	if got := strings.Join(tools, " "); got != "ask echo slow whoami" {
		t.Errorf("the tools are %s", got)
	}

	slow := make(chan error, 1)
	go func() {
		params := &mcp.CallToolParams{Name: "slow", Arguments: map[string]any{"seconds": 0.5, "steps": steps}}
		params.SetProgressToken("token")
		_, err := callTool(session, params)
		slow <- err
	}()
	first := <-progress
	name, err := callTool(session, &mcp.CallToolParams{Name: "whoami"})
	if want := session.InitializeResult().ServerInfo.Title; err != nil || name != want {
		t.Errorf("whoami answers %q, %v, want %s", name, err, want)
	}
	for step := first + 1; step <= steps; step++ {
		if got := <-progress; got != step {
			t.Errorf("progress %v, want step %v", got, step)
		}
	}
	if err := <-slow; err != nil {
		t.Error(err)
	}
}

// 400 clients of the official SDK, each from a different address, are spread evenly
// over the nodes, and each returns to its node at every reconnect.
func TestSDKSources(t *testing.T) {
	t.Parallel()
	const sources = 400
	reconnects := full(1000, 3) // of each source
	c := startCluster(t, func(s *setup) { s.ratelimit = "connection_rate = 0\nmessage_rate = 0" })
	sessions, nodes := make([]*mcp.ClientSession, sources), make([]string, sources)
	open := func(i int) (name string, err error) {
		if sessions[i], err = sdkConnect(source(i), c.frontend, nil); err != nil {
			return "", err
		}
		return callTool(sessions[i], &mcp.CallToolParams{Name: "whoami"})
	}
	forEach(t, sources, func(i int) (err error) {
		nodes[i], err = open(i)
		return err
	})
	expectEven(t, nodes)
	forEach(t, sources, func(i int) error {
		for range reconnects {
			sessions[i].Close()
			name, err := open(i)
			if err != nil {
				return err
			}
			if name != nodes[i] {
				return fmt.Errorf("%s was on %s and is now on %s", source(i), nodes[i], name)
			}
		}
		return nil
	})
	t.Logf("%d sources reconnected %d times each, always to the same node", sources, reconnects)
	for _, session := range sessions {
		session.Close()
	}
}

// A few sources have many connections each, as clients behind NAT do: nodes stay even, also
// after reconnects, and most connections of a source are on one node.
func TestFewSourcesWithManyConnections(t *testing.T) {
	t.Parallel()
	const sources = 40
	connections, reconnects := full(4000, 1000), full(1000, 3)
	c := startCluster(t, func(s *setup) { s.ratelimit = "connection_rate = 0\nmessage_rate = 0" })
	h := c.hold(t, connections, sources)
	expectEven(t, h.nodes)
	forEach(t, sources, func(i int) error {
		for n := range reconnects {
			if err := c.reopenSomewhere(h, (i+n*sources)%connections); err != nil {
				return err
			}
		}
		return nil
	})
	expectEven(t, h.nodes)
	if share := h.mainShare(); share < 0.6 {
		t.Errorf("%.0f %% of a source's connections are on its main node, on average", 100*share)
	}
	for i, server := range c.status(t).Backends[0].Servers {
		if want := count(h.nodes, c.nodes[i].name); server.Connections.Current != int64(want) {
			t.Errorf("the status shows %d connections of %s, which has %d", server.Connections.Current, server.Name, want)
		}
	}
}
