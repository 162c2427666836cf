package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mcplb/proxy/mcp"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// outcome is what a page sees of a request.
type outcome struct {
	Status int
	Body   string
	Retry  string // Retry-After
	Failed string // the error, if the browser hides the response
}

// fetch makes the page send a request, up to options.times until it is over the rate.
const fetch = `(async () => {
	const [url, options] = %s;
	if (options.large) options.body = "x".repeat(options.large);
	for (let left = options.times || 1; ; left--) {
		try {
			const r = await fetch(url, options), body = await r.text();
			if (left === 1 || r.status === 429) return { Status: r.status, Body: body, Retry: r.headers.get("Retry-After") || "" };
		} catch (e) { if (left === 1) return { Failed: String(e) }; }
	}
})()`

// A page of another origin, in a real browser, reads the status and the body of every
// response that mcplb generates: a client in it sees that its session is gone. A page
// whose origin is not allowed reads nothing.
func TestCORSInBrowser(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><link rel=icon href='data:,'><title>page</title>")
	}))
	t.Cleanup(page.Close)
	ctx := quietBrowser(t)
	do(t, ctx, "opening the page", chromedp.Navigate(page.URL))
	for name, lines := range map[string]string{
		"any origin":     "",
		"allowed origin": "allowed_origins = ['https://other.example', '" + page.URL + "']\n",
	} {
		t.Run(name, func(t *testing.T) {
			credentials := map[bool]string{true: "include", false: "omit"}[lines != ""]
			b := startCORS(t, lines, "")
			broken := breakHeads(t, b.frontend)
			for _, c := range []struct {
				status  int
				address string
				path    string
				options map[string]any
				body    string
			}{
				{400, broken, "/", map[string]any{"headers": map[string]string{"x-break": "1"}}, "white space"},
				{404, b.frontend, "/mcp", map[string]any{"method": "POST", "body": pingLine, "headers": map[string]string{
					"content-type": "application/json", "mcp-session-id": "abc." + mcp.TagOf("gone").String(),
				}}, `"code":-32001`},
				{404, b.frontend, "/mcp?mcplb_tag=" + mcp.TagOf("gone").String(), nil, `"code":-32001`},
				{413, b.frontend, "/", map[string]any{"method": "POST", "large": 2000}, "larger than allowed"},
				{431, b.frontend, "/", map[string]any{"headers": map[string]string{"x-long": strings.Repeat("x", 5000)}}, "head"},
				{502, b.frontend, "/broken", nil, "malformed"},
				{502, b.frontend, "/broken", map[string]any{"method": "DELETE"}, "malformed"},
				{503, b.frontend, "/absent", nil, "no server"},
				{504, b.frontend, "/slow", nil, "did not answer in time"},
			} {
				if c.options == nil {
					c.options = map[string]any{}
				}
				c.options["credentials"] = credentials
				got := fetchFrom(t, ctx, "http://"+c.address+c.path, c.options)
				if got.Status != c.status || !strings.Contains(got.Body, c.body) {
					t.Errorf("%s %v: the page sees %+v, want %d with %q", c.path, c.options["method"], got, c.status, c.body)
				}
			}
			limited := startCORS(t, lines, "message_rate = 1\nmessage_burst = 2\nover_message = 'reject'\nban_after = 0")
			got := fetchFrom(t, ctx, "http://"+limited.frontend+"/", map[string]any{"credentials": credentials, "times": 100})
			if got.Status != 429 || got.Retry == "" {
				t.Errorf("over the rate, the page sees %+v, want 429 with Retry-After", got)
			}
		})
	}
	foreign := startCORS(t, "allowed_origins = ['https://other.example']\n", "")
	for _, path := range []string{"/", "/absent"} {
		if got := fetchFrom(t, ctx, "http://"+foreign.frontend+path, map[string]any{}); got.Failed == "" {
			t.Errorf("a page that is not allowed sees %+v", got)
		}
	}
	if status := statusFor(t, "http://"+foreign.frontend+"/", page.URL); status != 403 {
		t.Errorf("its request was answered %d, want 403", status)
	}
}

// fetchFrom makes the page send a request, and returns what it sees.
func fetchFrom(t *testing.T, ctx context.Context, url string, options map[string]any) (got outcome) {
	t.Helper()
	arguments, err := json.Marshal([]any{url, options})
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, "fetching "+url, chromedp.Evaluate(fmt.Sprintf(fetch, arguments), &got,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return got
}

// statusFor returns the status of a GET from a page of that origin; "" = from no page.
func statusFor(t *testing.T, url, origin string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if origin != "" {
		request.Header.Set("Origin", origin)
	}
	response, err := webClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// startCORS starts a balancer whose servers fail in different ways, by path.
func startCORS(t *testing.T, frontendLines, ratelimit string) *balancer {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "what?\r\n\r\n")
				conn.Close()
			}
		case "/slow":
			<-r.Context().Done()
		default:
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
	}))
	t.Cleanup(server.Close)
	s := newSetup(t, strings.TrimPrefix(server.URL, "http://"))
	s.mode, s.endpoint = "http", "http"
	s.ratelimit = ratelimit
	if ratelimit == "" {
		s.ratelimit = "connection_rate = 0\nmessage_rate = 0"
	}
	s.frontendLines = frontendLines + "max_body = '1k'\nmax_header = '4k'\n"
	s.tables = fmt.Sprintf(`
[frontend.main.cors]
preflight = true
[[frontend.main.route]]
path = "/slow"
timeout_server = "200ms"
[[frontend.main.route]]
path = "/absent"
backend = "absent"
[backend.absent]
retries = 0
[backend.absent.check]
interval = '100ms'
[[backend.absent.server]]
name = "absent"
http = "%s"
`, freeAddress(t))
	b := startBalancer(t, s)
	eventually(t, func() error {
		if status := statusFor(t, "http://"+b.frontend+"/absent", ""); status != 503 {
			return fmt.Errorf("the absent server is answered for with %d", status)
		}
		return nil
	})
	return b
}

// breakHeads is a relay to an address that makes the heads of browsers malformed which
// bear X-Break: no browser sends a malformed one itself.
func breakHeads(t *testing.T, to string) string {
	t.Helper()
	listener := listen(t)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go breakHead(client, to)
		}
	}()
	return listener.Addr().String()
}

func breakHead(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		p := make([]byte, 16<<10)
		for {
			n, err := client.Read(p)
			if err != nil {
				return
			}
			broken := strings.NewReplacer("x-break:", "x break:", "X-Break:", "X Break:").Replace(string(p[:n]))
			if _, err := io.WriteString(server, broken); err != nil {
				return
			}
		}
	}()
	_, _ = io.Copy(struct{ io.Writer }{client}, struct{ io.Reader }{server}) // without splice, whose pipes stay open
}
