package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// runningExample is an example that runs on addresses of this machine.
type runningExample struct {
	name, path string
	listeners  []string        // of the frontends, in the file's order
	secure     map[string]bool // listeners with TLS
	admin      string
	health     string
}

// healthListener is the place of the listener that says how the balancer is.
const healthListener = -1

// startExample starts a balancer with an example. Its servers are programs that say
// what they are asked.
func startExample(t *testing.T, name, text string) *runningExample {
	t.Helper()
	e := &runningExample{name: name, admin: freeAddress(t), health: freeAddress(t)}
	e.path = place(t, name, strings.NewReplacer(changed[name]...).Replace(text))
	e.relocate(t)
	e.start(t, e.path)
	return e
}

// start starts a balancer with the file at path.
func (e *runningExample) start(t *testing.T, path string) {
	t.Helper()
	p := startProcess(t, exec.Command(filepath.Join(binaries, "mcplb"), "-c", path))
	p.await(t, `\bserving\b`)
}

// What relocate replaces in an example.
var (
	serverAddress = regexp.MustCompile(`\b(\w+) *= *"(10\.0\.0\.\d+:\d+)"`)
	listenAddress = regexp.MustCompile(`(?m)^(listen\s*=\s*)"(:\d+)"`)
)

// relocate gives the example addresses of this machine.
func (e *runningExample) relocate(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(e.path)
	if err != nil {
		t.Fatal(err)
	}
	moved := serverAddress.ReplaceAllStringFunc(string(text), func(line string) string {
		match := serverAddress.FindStringSubmatch(line)
		serve := describing
		if match[1] == "tcp" {
			serve = answering
		}
		return fmt.Sprintf("%s = %q", match[1], serve(t, match[2], e.name == "health.toml"))
	})
	moved = listenAddress.ReplaceAllStringFunc(moved, func(line string) string {
		e.listeners = append(e.listeners, freeAddress(t))
		return listenAddress.ReplaceAllString(line, `${1}"`+e.listeners[len(e.listeners)-1]+`"`)
	})
	e.secure = map[string]bool{}
	for i, frontend := range strings.Split(moved, "\nlisten")[1:] {
		e.secure[e.listeners[i]] = strings.Contains(frontend, "\ntls ")
	}
	moved += fmt.Sprintf("\n[admin]\nlisten = %q\nhealth_listen = %q\n", e.admin, e.health)
	if err := os.WriteFile(e.path, []byte(moved), 0o644); err != nil {
		t.Fatal(err)
	}
}

// url is where a frontend is asked.
func (e *runningExample) url(frontend int) string {
	switch {
	case frontend == healthListener:
		return "http://" + e.health
	case e.secure[e.listeners[frontend]]:
		return "https://" + e.listeners[frontend]
	}
	return "http://" + e.listeners[frontend]
}

// describing starts a server that says who it is, and what of a request the examples
// promise something about. A strict one accepts no Host but mcp.example.com.
func describing(t *testing.T, name string, strict bool) (address string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "describing/1.0")
		switch {
		case strict && r.Host != "mcp.example.com":
			w.WriteHeader(http.StatusForbidden)
		case r.Header.Get("Upgrade") != "":
			greet(w, r, name)
		case strings.HasSuffix(r.URL.Path, "/stream"):
			fallSilent(w, r)
		case strings.HasSuffix(r.URL.Path, "/hangs"):
			select {
			case <-r.Context().Done():
			case <-hanging():
				describe(w, r, name)
			}
		default:
			if r.Header.Get("Mcp-Session-Id") == "" && r.Method == http.MethodPost {
				w.Header().Set("Mcp-Session-Id", "session")
			}
			describe(w, r, name)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// hanging ends when a slow report is ready: later than what the examples allow others.
func hanging() <-chan time.Time { return time.After(3 * time.Second) }

// describe is the response of a describing server.
func describe(w http.ResponseWriter, r *http.Request, name string) {
	_, _ = fmt.Fprintf(w, "%s %s host=%s tenant=%s prefix=%s id=%d\n", name, r.RequestURI, r.Host,
		strings.Join(append(r.Header["X-Tenant"], underscored(r.Header)...), ","), r.Header.Get("X-Forwarded-Prefix"), len(r.Header.Get("X-Request-Id")))
	_ = r.Header.Write(w) // the client may have gone
}

// underscored returns the values of X_Tenant, which some servers take for X-Tenant.
func underscored(header http.Header) (values []string) {
	for name, all := range header {
		if strings.EqualFold(name, "X_Tenant") {
			values = append(values, all...)
		}
	}
	return values
}

// greet says over a WebSocket which server it is.
func greet(w http.ResponseWriter, r *http.Request, name string) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	_ = c.Write(r.Context(), websocket.MessageText, []byte(name)) // the client may have gone
	_, _, _ = c.Read(r.Context())
}

// fallSilent sends an event, and nothing more until the client goes.
func fallSilent(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: first\n\n")
	_ = http.NewResponseController(w).Flush() // the client may have gone
	<-r.Context().Done()
}

// answering starts a server that answers each line of JSON-RPC with its name.
func answering(t *testing.T, name string, _ bool) (address string) {
	l := listen(t)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer(c, name)
		}
	}()
	return l.Addr().String()
}

func answer(c net.Conn, name string) {
	defer c.Close()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		var request struct {
			ID json.RawMessage `json:"id"`
		}
		if json.Unmarshal(lines.Bytes(), &request) != nil {
			return
		}
		if _, err := fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%s,"result":{"server":%q}}`+"\n", request.ID, name); err != nil {
			return
		}
	}
}
