package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// question is a request to a running example, and what is expected of the response.
type question struct {
	method, host, path string
	from               string // the client's address; "" = any
	fields             map[string]string
	body               string
	frontend           int // which of the file's listeners is asked
	status             int
	want               string // in the response's header, in Location's case, or in its body
	never              string // is in neither; "" = anything may be
}

// call is the body of a request that calls a tool.
func call(tool string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `"}}`
}

// asked are the examples of the kinds that operators have, with what they promise.
var asked = map[string][]question{
	"redirect.toml": {
		{path: "/mcp?a=b", host: "mcp.example.com", status: 308, want: "Location: https://mcp.example.com/mcp?a=b"},
		{path: "/.well-known/acme-challenge/x", host: "mcp.example.com", status: 200, want: "10.0.0.20:8888 /.well-known/acme-challenge/x"},
		{path: "/mcp", host: "mcp.example.com", frontend: 1, status: 200, want: "Strict-Transport-Security: max-age=31536000"},
		{path: "/mcp", host: "mcp.example.com", frontend: 1, status: 200, want: "id=32", never: "Server: "},
	},
	"hosts.toml": {
		{method: "POST", host: "mcp.example.com", path: "/mcp", body: "{}", status: 200, want: ":8080 /mcp"},
		{host: "sse.example.com", path: "/sse", status: 200, want: ":8081 /sse"},
		{host: "SSE.example.com.", path: "/messages", status: 200, want: ":8080 /messages"},
		{host: "other.example.com", path: "/sse", status: 404, want: "There is nothing here."},
	},
	"websocket.toml": {{path: "/ws", status: 200, want: ":8082 /ws"}, {path: "/", status: 200, want: ":8080 /"}},
	"health.toml": {
		{host: "mcp.example.com", path: "/mcp", status: 200, want: ":8080 /mcp host=mcp.example.com"},
		{path: "/health", frontend: healthListener, status: 200},
	},
	"services.toml": {
		{path: "/search/mcp/", status: 200, want: "10.0.0.21:8080 /mcp/"},
		{path: "/search", status: 200, want: "prefix=/search"},
		{path: "/files/a?b", status: 200, want: "10.0.0.31:8080 /v2/a?b host=files.internal"},
		{path: "/search/x/..%2Finternal", status: 403, want: "not allowed"},
		{path: "/elsewhere", status: 404, want: "There is nothing here."},
	},
	"tools.toml": {
		{method: "POST", path: "/mcp", body: call("delete_all"), status: 403, want: `"id":1`},
		{method: "POST", path: "/mcp", body: `{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"x","name":"\u0064elete_all"}}`, status: 403},
		{method: "POST", path: "/mcp", body: call("delete_all"), from: "127.9.0.1", status: 200, want: "/mcp"},
		{method: "POST", path: "/mcp", body: call("look_up"), status: 200, want: "/mcp"},
		{method: "POST", path: "/mcp", body: call("search"), from: "127.8.0.1", status: 429, want: "Retry-After: "},
		{method: "POST", path: "/mcp", body: call("search"), from: "127.8.0.2", status: 200, want: "/mcp"},
	},
	"tool-limits.toml": {
		{method: "POST", path: "/mcp", body: call("admin_x"), status: 403, want: `"id":1`},
		{method: "POST", path: "/mcp", body: call("render_video"), fields: map[string]string{"X-Api-Key": "a"}, status: 429, want: `"id":1`},
		{method: "POST", path: "/mcp", body: call("render_video"), fields: map[string]string{"X-Api-Key": "b"}, status: 200, want: ":8080 /mcp"},
		{method: "POST", path: "/mcp", body: call("echo"), fields: map[string]string{"X-Api-Key": "a"}, status: 200, want: ":8080 /mcp"},
	},
	"api-keys.toml": {
		{path: "/mcp", status: 401, want: "Www-Authenticate: ApiKey"},
		{path: "/mcp", fields: map[string]string{"X-Api-Key": "pro-1"}, status: 200, want: "10.0.0.21:8080"},
		{path: "/mcp", fields: map[string]string{"X-Api-Key": "1"}, status: 200, want: "10.0.0.11:8080"},
		{path: "/mcp", fields: map[string]string{"X-Api-Key": "2"}, status: 429, want: "Retry-After: "},
		{path: "/mcp", fields: map[string]string{"X-Api-Key": "3"}, status: 200, want: "10.0.0.11:8080"},
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
	"maintenance.toml": {
		{path: "/mcp", status: 503, want: "Retry-After: 600"},
		{method: "POST", path: "/", status: 503, want: "Back at 18:00."},
		{path: "/mcp", from: "127.9.0.1", status: 200, want: ":8080 /mcp"},
	},
	"browsers.toml": {
		{method: "OPTIONS", path: "/mcp", fields: map[string]string{"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "mcp-session-id"},
			status: 204, want: "Access-Control-Allow-Headers: mcp-session-id"},
		{method: "POST", path: "/mcp", body: "{}", fields: map[string]string{"Origin": "https://app.example.com"}, status: 200, want: "Set-Cookie: __Host-mcplb="},
		{method: "POST", path: "/mcp", body: "{}", fields: map[string]string{"Origin": "https://evil.example"}, status: 403, never: "10.0.0."},
	},
	"security-headers.toml": {
		{path: "/mcp", fields: map[string]string{"X-User": "root", "X_user": "root"}, status: 200, want: "X-Content-Type-Options: nosniff", never: "User: root"},
		{path: "/mcp", fields: map[string]string{"X-Real-Ip": "10.0.0.1"}, status: 200, want: "X-Real-Ip: 127.", never: "X-Real-Ip: 10.0.0.1"},
		{path: "/internal/x", status: 403, want: "Content-Security-Policy: default-src 'none'"},
	},
	"streams.toml": {
		{path: "/mcp/hangs", status: 504},
		{path: "/reports/hangs", status: 200, want: ":8080 /reports/hangs"},
	},
	"gateway.toml": {
		{method: "POST", path: "/mcp", body: "{}", from: "127.9.0.1", frontend: 1, status: 200, want: ":8080 /mcp"},
		{method: "POST", path: "/mcp", body: strings.Repeat("x", 1<<20+1), from: "127.9.0.1", frontend: 1, status: 413},
		{method: "POST", path: "/mcp", body: call("x"), from: "127.8.0.1", frontend: 1, status: 429, want: `"id":1`},
		{method: "POST", path: "/mcp", body: call("x"), from: "127.9.0.1", frontend: 1, status: 200, want: ":8080 /mcp"},
	},
	"blue-green.toml": {{path: "/mcp", frontend: 1, status: 200, want: "10.0.0.1"}},
	"mtls.toml":       nil, // only with a certificate
}

// changed is what a test changes in an example, beside addresses: networks that this
// machine has, rates that a slow machine exceeds, times that a test can wait for.
var changed = map[string][]string{
	"tools.toml":       {"10.9.0.0/16", "127.9.0.0/16", "rate = 5,", "rate = 0.01,"},
	"maintenance.toml": {"10.9.0.0/16", "127.9.0.0/16"},
	"gateway.toml":     {"10.9.0.0/24", "127.9.0.0/24", "message_rate     = 50", "message_rate = 1", "message_burst    = 100", "message_burst = 1"},
	"api-keys.toml":    {"rate = 2,", "rate = 0.01,"},
	"streams.toml":     {`"30s"`, `"1s"`, `"25s"`, `"1s"`, `"60s"`, `"2s"`},
}

// further are promises of examples that take more than a question.
var further = map[string]func(*runningExample, *testing.T){
	"redirect.toml":   (*runningExample).keepsSessions,
	"websocket.toml":  (*runningExample).hashesSources,
	"streams.toml":    (*runningExample).keepsStreams,
	"blue-green.toml": (*runningExample).movesClients,
	"mtls.toml":       (*runningExample).knowsClients,
}

// What is promised by the examples holds when they run: they are started, with servers
// on other addresses, and asked.
func TestExamplesAreAsked(t *testing.T) {
	t.Parallel()
	texts := examples(t, "*.toml")
	if len(asked) < 15 {
		t.Errorf("only %d examples are asked", len(asked))
	}
	for name, questions := range asked {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := startExample(t, name, texts[name])
			for _, q := range questions {
				eventually(t, func() error { return q.ask(e) })
			}
			if show := further[name]; show != nil {
				show(e, t)
			}
		})
	}
}

// ask asks a question, and returns what is wrong with the response.
func (q *question) ask(e *runningExample) error {
	request, err := http.NewRequest(cmp.Or(q.method, "GET"), e.url(q.frontend), strings.NewReader(q.body))
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
	response, err := clientAt(q.from).Do(request)
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
	if text := all.String() + string(body); response.StatusCode != q.status || !strings.Contains(text, q.want) || q.never != "" && strings.Contains(text, q.never) {
		return fmt.Errorf("%s %s: %d %s, want %d and %q, without %q", q.host, q.path, response.StatusCode, text, q.status, q.want, q.never)
	}
	return nil
}

// clientAt is a client with an address of this machine; "" = any. It trusts every
// certificate.
func clientAt(address string) *http.Client {
	dialer := &net.Dialer{Timeout: patience}
	if address != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(address)}
	}
	return &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
