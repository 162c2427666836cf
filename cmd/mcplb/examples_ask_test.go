package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// question is a request to a running example, and what is expected of the response.
type question struct {
	method, host, path string
	fields             map[string]string
	body               string
	frontend           int // which of the file's listeners is asked
	status             int
	want               string // in the response's header, in Location's case, or in its body
}

// asked are examples about rules, with what they promise.
var asked = map[string][]question{
	"redirect.toml": {
		{path: "/mcp?a=b", host: "mcp.example.com", status: 308, want: "Location: https://mcp.example.com/mcp?a=b"},
		{path: "/.well-known/acme-challenge/x", host: "mcp.example.com", status: 200, want: "10.0.0.20:8888 /.well-known/acme-challenge/x"},
		{path: "/mcp", host: "mcp.example.com", frontend: 1, status: 200, want: "Strict-Transport-Security: max-age=31536000"},
		{path: "/mcp", host: "mcp.example.com", frontend: 1, status: 200, want: "id=32"},
	},
	"hosts.toml": {
		{method: "POST", host: "mcp.example.com", path: "/mcp", body: "{}", status: 200, want: ":8080 /mcp"},
		{host: "sse.example.com", path: "/sse", status: 200, want: ":8081 /sse"},
		{host: "SSE.example.com.", path: "/messages", status: 200, want: ":8080 /messages"},
		{host: "other.example.com", path: "/sse", status: 404, want: "There is nothing here."},
	},
	"websocket.toml": {{path: "/ws", status: 200, want: ":8082 /ws"}, {path: "/", status: 200, want: ":8080 /"}},
	"services.toml": {
		{path: "/search/mcp/", status: 200, want: "10.0.0.21:8080 /mcp/"},
		{path: "/search", status: 200, want: "prefix=/search"},
		{path: "/files/a?b", status: 200, want: "10.0.0.31:8080 /v2/a?b host=files.internal"},
		{path: "/search/x/..%2Finternal", status: 403, want: "not allowed"},
		{path: "/elsewhere", status: 404, want: "There is nothing here."},
	},
	"tools.toml": {
		{method: "POST", path: "/mcp", body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_all"}}`, status: 403, want: `"id":1`},
		{method: "POST", path: "/mcp", body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search"}}`, status: 200, want: "/mcp"},
	},
	"canary.toml": {
		{path: "/", status: 200, want: "X-Version: stable"},
		{path: "/", fields: map[string]string{"X-Canary": "v2-beta"}, status: 200, want: "10.0.0.21:8080"},
		{path: "/", fields: map[string]string{"X-Canary": "never"}, status: 200, want: "10.0.0.1"},
	},
	"tenants.toml": {
		{host: "acme.example.com", path: "/mcp", fields: map[string]string{"X-Tenant": "other", "X_Tenant": "other"}, status: 200, want: "10.0.0.11:8080 /mcp host=acme.example.com tenant=acme"},
		{host: "b.example.com", path: "/../mcp", status: 200, want: "/tenants/mcp host=b.example.com tenant=b.example.com"},
		{host: "evil.example", path: "/", status: 421, want: "No tenant has this name."},
	},
	"maintenance.toml": {{path: "/mcp", status: 503, want: "Retry-After: 600"}, {method: "POST", path: "/", status: 503, want: "Back at 18:00."}},
}

// What is promised by the examples about rules holds when they run: they are started,
// with servers on other addresses, and asked.
func TestExamplesAreAsked(t *testing.T) {
	t.Parallel()
	texts := examples(t, "*.toml")
	for name, questions := range asked {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, listeners := relocate(t, place(t, name, texts[name]))
			p := startProcess(t, exec.Command(filepath.Join(binaries, "mcplb"), "-c", path))
			p.await(t, `\bserving\b`)
			for _, q := range questions {
				eventually(t, func() error { return q.ask(listeners, strings.Contains(texts[name], "tls  ")) })
			}
		})
	}
}

// ask asks a question, and returns what is wrong with the response.
func (q *question) ask(listeners []string, secure bool) error {
	method, scheme := q.method, "http"
	if method == "" {
		method = "GET"
	}
	if secure && q.frontend == 1 {
		scheme = "https"
	}
	request, err := http.NewRequest(method, scheme+"://"+listeners[q.frontend]+"/", strings.NewReader(q.body))
	if err != nil {
		return err
	}
	path, query, _ := strings.Cut(q.path, "?")
	request.URL.Opaque, request.URL.RawQuery, request.Host = path, query, q.host
	for name, value := range q.fields {
		request.Header[name] = []string{value}
	}
	if strings.HasPrefix(q.body, "{") {
		request.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var all strings.Builder
	_ = response.Header.Write(&all) // a Builder's Write does not fail
	if text := all.String() + string(body); response.StatusCode != q.status || !strings.Contains(text, q.want) {
		return fmt.Errorf("%s %s: %d %s, want %d and %q", q.host, q.path, response.StatusCode, text, q.status, q.want)
	}
	return nil
}

// What relocate replaces in an example.
var (
	serverAddress = regexp.MustCompile(`"(10\.0\.0\.\d+:\d+)"`)
	listenAddress = regexp.MustCompile(`(?m)^(listen\s*=\s*)"(:\d+)"`)
)

// relocate gives the example at path addresses of this machine: its servers are programs
// that say what they are asked. It returns the path, and where the frontends listen.
func relocate(t *testing.T, path string) (_ string, listeners []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	moved := serverAddress.ReplaceAllStringFunc(string(text), func(quoted string) string {
		return `"` + describing(t, strings.Trim(quoted, `"`)) + `"`
	})
	moved = listenAddress.ReplaceAllStringFunc(moved, func(line string) string {
		address := freeAddress(t)
		listeners = append(listeners, address)
		return listenAddress.ReplaceAllString(line, `${1}"`+address+`"`)
	})
	moved += fmt.Sprintf("\n[admin]\nlisten = %q\nhealth_listen = %q\n", freeAddress(t), freeAddress(t))
	if err := os.WriteFile(path, []byte(moved), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, listeners
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

// describing starts a server that says who it is, and what of a request the examples
// promise something about.
func describing(t *testing.T, name string) (address string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s host=%s tenant=%s prefix=%s id=%d", name, r.RequestURI, r.Host,
			strings.Join(append(r.Header["X-Tenant"], underscored(r.Header)...), ","), r.Header.Get("X-Forwarded-Prefix"), len(r.Header.Get("X-Request-Id")))
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}
