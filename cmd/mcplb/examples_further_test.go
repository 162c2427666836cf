package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// keepsSessions shows that a session stays on its server, whose cluster is behind TLS.
func (e *runningExample) keepsSessions(t *testing.T) {
	for range 10 {
		server, session := e.speak(t, 1, "")
		for range 3 {
			if other, _ := e.speak(t, 1, session); other != server {
				t.Errorf("a request of the session went to %s, its first to %s", other, server)
			}
		}
	}
}

// speak sends a request of a session, "" for a new one, and returns the server that
// answered it, and the session.
func (e *runningExample) speak(t *testing.T, frontend int, session string) (server, now string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, e.url(frontend)+"/mcp", strings.NewReader(call("x")))
	if err != nil {
		t.Fatal(err)
	}
	if now = session; session != "" {
		request.Header.Set("Mcp-Session-Id", session)
	}
	response, err := clientAt("").Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s, %v", response.StatusCode, text, err)
	}
	if session == "" {
		now = response.Header.Get("Mcp-Session-Id")
	}
	server, _, _ = strings.Cut(string(text), " ")
	return server, now
}

// hashesSources shows that each address stays on its server, that another balancer with
// the same file agrees, and that both servers have clients.
func (e *runningExample) hashesSources(t *testing.T) {
	text, err := os.ReadFile(e.path)
	if err != nil {
		t.Fatal(err)
	}
	second := freeAddress(t)
	other := filepath.Join(t.TempDir(), "other.toml")
	moved := strings.NewReplacer(e.listeners[0], second, e.admin, freeAddress(t), e.health, freeAddress(t)).Replace(string(text))
	if err := os.WriteFile(other, []byte(moved), 0o644); err != nil {
		t.Fatal(err)
	}
	e.start(t, other)
	servers := map[string]bool{}
	for i := range 16 {
		source := fmt.Sprintf("127.6.0.%d", i+1)
		first := greeting(t, source, e.listeners[0])
		servers[first] = true
		for _, balancer := range []string{e.listeners[0], second} {
			if server := greeting(t, source, balancer); server != first {
				t.Errorf("%s is at %s, and was at %s before", source, server, first)
			}
		}
	}
	if len(servers) != 2 {
		t.Errorf("the servers %v have clients", servers)
	}
}

// greeting is what a WebSocket of a source says first.
func greeting(t *testing.T, source, balancer string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+balancer+"/ws", &websocket.DialOptions{HTTPClient: clientAt(source)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	_, text, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keepsStreams shows that a silent stream gets comments, and outlives the time in which
// other responses must go on: each comment means that the server was silent for so long.
func (e *runningExample) keepsStreams(t *testing.T) {
	response, err := clientAt("").Get(e.url(0) + "/mcp/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	comments, lines := 0, bufio.NewScanner(response.Body)
	for comments < 4 && lines.Scan() {
		if strings.HasPrefix(lines.Text(), ":") {
			comments++
		}
	}
	if comments < 4 {
		t.Errorf("the stream ended after %d comments: %v", comments, lines.Err())
	}
}

// movesClients shows the commands of the recipe: new clients go to the green servers,
// those that are there stay.
func (e *runningExample) movesClients(t *testing.T) {
	held, err := net.Dial("tcp", e.listeners[0])
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	lines := bufio.NewReader(held)
	served := func(network string) {
		t.Helper()
		if _, err := io.WriteString(held, `{"jsonrpc":"2.0","id":1,"method":"x"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, network) {
			t.Errorf("%s, %v; want a server of %s", line, err, network)
		}
	}
	served("10.0.0.1")
	for _, command := range []string{"weight nodes/green1 100", "weight nodes/green2 100", "drain nodes/blue1 nodes/blue2"} {
		if status, _, stderr := mcplb(append(strings.Fields(command), "-admin", e.admin)...); status != 0 {
			t.Errorf("%s: %s", command, stderr)
		}
	}
	served("10.0.0.1")
	for range 4 {
		if server, _ := e.speak(t, 1, ""); !strings.HasPrefix(server, "10.0.0.2") {
			t.Errorf("a new client is at %s", server)
		}
	}
}
