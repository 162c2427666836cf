package healthcheck

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
)

// checkOf is a check of type http that expects 200.
func checkOf(change func(*conf.Check)) conf.Check {
	check := conf.Check{Type: conf.CheckHTTP, Path: "/health", Expect: only(200), Method: "GET"}
	if change != nil {
		change(&check)
	}
	return check
}

// What a check makes of statuses and bodies. Servers that are well answer with more than
// 200, and some say by a status that they are about to go.
func TestHTTPVerdicts(t *testing.T) {
	t.Parallel()
	classes := conf.Statuses{{First: 200, Last: 200}, {First: 204, Last: 204}, {First: 300, Last: 399}}
	expects := func(c *conf.Check) { c.Expect = classes }
	drains := func(c *conf.Check) { c.DrainOn = conf.Statuses{{First: 503, Last: 503}, {First: 404, Last: 404}} }
	body := func(want string) func(*conf.Check) { return func(c *conf.Check) { c.ExpectBody = want } }
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	long := strings.Repeat("x", maxBody-4)
	for name, test := range map[string]struct {
		change   func(*conf.Check)
		response string
		want     Code
		text     string
	}{
		"in the list":                     {expects, "HTTP/1.1 204 No Content\r\n\r\n", L7OK, "HTTP status 204"},
		"in the class":                    {expects, "HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", L7OK, "HTTP status 302"},
		"outside":                         {expects, "HTTP/1.1 201 Created\r\n\r\n", L7STS, "HTTP status 201, expected 200, 204 or 3xx"},
		"asks to be drained":              {drains, "HTTP/1.1 503 Going\r\nContent-Length: 100\r\n\r\n", L7OKC, "HTTP status 503 asks to be drained"},
		"asks by another status":          {drains, "HTTP/1.1 404 Going\r\n\r\n", L7OKC, "404"},
		"asks for nothing":                {drains, "HTTP/1.1 200 OK\r\n\r\n", L7OK, "200"},
		"neither":                         {drains, "HTTP/1.1 500 Broken\r\n\r\n", L7STS, "500"},
		"HEAD":                            {func(c *conf.Check) { c.Method = "HEAD" }, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", L7OK, "200"},
		"body":                            {body(`"ok"`), "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n" + `{"status":"ok"}`, L7OK, "the expected body"},
		"body in pieces":                  {body("abcd"), chunked + "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", L7OK, "the expected body"},
		"body of a stream without end":    {body("ready"), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ready\n\n", L7OK, "the expected body"},
		"other body":                      {body("ok"), "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nfailing", L7RSP, `the body lacks "ok"`},
		"no body":                         {body("ok"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", L7RSP, "lacks"},
		"at the end of what is read":      {body("done"), "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + long + "done", L7OK, "the expected body"},
		"behind what is read":             {body("done"), "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + long + ".done", L7RSP, "lacks"},
		"body with the wrong status":      {body("ok"), "HTTP/1.1 500 Broken\r\nContent-Length: 2\r\n\r\nok", L7STS, "500"},
		"body that does not come":         {body("ok"), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", L7TOUT, "waiting for the expected body"},
		"the text stands in the head":     {body("ok"), "HTTP/1.1 200 ok\r\nX: ok\r\nContent-Length: 1\r\n\r\n.", L7RSP, "lacks"},
		"head that does not end":          {nil, "HTTP/1.1 200 OK\r\nX: y\r\n", L7TOUT, "an HTTP response"},
		"misdirected, Host configured":    {func(c *conf.Check) { c.Host = "a" }, "HTTP/1.1 421 No\r\n\r\n", L7STS, "HTTP status 421, expected 200"},
		"misdirected, Host not spoken of": {nil, "HTTP/1.1 421 No\r\n\r\n", L7STS, "check.host sets another"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 30 * time.Second
			if test.want == L7TOUT {
				timeout = time.Second
			}
			if r := askAs(t, checkOf(test.change), at(netip.AddrPort{}, listen(t, saying(test.response))), timeout); r.Code != test.want || !strings.Contains(r.Text(), test.text) {
				t.Errorf("%q, want %v and %q", r, test.want, test.text)
			}
		})
	}
}

// The request has the method, the Host and the headers of the configuration. The default
// Host is the server's host as written: an address that a name stands for is refused by
// servers with a list of hosts.
func TestHTTPRequests(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(*conf.Check)
		written string // PORT is the server's port
		want    func(r *http.Request, port string) bool
	}{
		"default": {nil, "", func(r *http.Request, port string) bool {
			return r.Method == "GET" && r.Host == "127.0.0.1:"+port && r.Header.Get("Accept") == "*/*" && r.UserAgent() == "mcplb" && r.ContentLength == 0
		}},
		"as written": {nil, "node1.internal:PORT", func(r *http.Request, port string) bool { return r.Host == "node1.internal:"+port }},
		"port 80":    {nil, "node1.internal:80", func(r *http.Request, _ string) bool { return r.Host == "node1.internal" }},
		"host":       {func(c *conf.Check) { c.Host = "mcp.example.com" }, "node1.internal:PORT", func(r *http.Request, _ string) bool { return r.Host == "mcp.example.com" }},
		"method":     {func(c *conf.Check) { c.Method = "HEAD" }, "", func(r *http.Request, _ string) bool { return r.Method == "HEAD" }},
		"post": {func(c *conf.Check) { c.Method = "POST" }, "", func(r *http.Request, _ string) bool {
			return r.Method == "POST" && r.Header.Get("Content-Length") == "0"
		}},
		"query": {func(c *conf.Check) { c.Path = "/health?deep=1&x" }, "", func(r *http.Request, _ string) bool { return r.RequestURI == "/health?deep=1&x" }},
		"headers": {func(c *conf.Check) {
			c.Headers = []conf.Header{{Name: "User-Agent", Value: "probe"}, {Name: "X-A", Value: "1"}}
		}, "",
			func(r *http.Request, _ string) bool {
				return r.Header.Get("X-A") == "1" && len(r.Header.Values("User-Agent")) == 1 && r.UserAgent() == "probe"
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan *http.Request, 1)
			addr := listen(t, func(conn *net.TCPConn) {
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					t.Error(err)
					return
				}
				seen <- r
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
				untilGone(conn)
			})
			_, port, _ := net.SplitHostPort(addr.String())
			to := at(netip.AddrPort{}, addr)
			to.HTTP.Written = strings.ReplaceAll(test.written, "PORT", port)
			if r := askAs(t, checkOf(test.change), to, 30*time.Second); r.Code != L7OK {
				t.Fatalf("%q", r)
			}
			if r := <-seen; !r.Close || !test.want(r, port) {
				t.Errorf("%s %s, Host %s, %v", r.Method, r.RequestURI, r.Host, r.Header)
			}
		})
	}
}

// A check may ask on another port than clients: of the http address, or, where there is
// none, of the tcp address. Host names that port.
func TestCheckOnAnotherPort(t *testing.T) {
	t.Parallel()
	hosts := make(chan string, 10)
	addr := serveHTTP(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host }))
	wrong := Address{Addr: refusing(t), Written: "localhost:1"}
	check := checkOf(func(c *conf.Check) { c.Port = int(addr.Port()) })
	_, port, _ := net.SplitHostPort(addr.String())
	for name, to := range map[string]Target{"http": {HTTP: wrong}, "tcp": {TCP: wrong}} {
		if r := askAs(t, check, target{Target: to}, 30*time.Second); r.Code != L7OK {
			t.Errorf("%s: %q", name, r)
		} else if host := <-hosts; host != "localhost:"+port {
			t.Errorf("%s: Host %s", name, host)
		}
	}
	check.Type = conf.CheckTCP
	if r := askAs(t, check, target{Target: Target{TCP: wrong}}, 30*time.Second); r.Code != L4OK {
		t.Errorf("tcp: %q", r)
	}
}

// A server that accepts only its name as Host is up with check.host, and down by its
// address with a reason that says what to do.
func TestServerWithListOfHosts(t *testing.T) {
	t.Parallel()
	addr := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, _ := strings.Cut(r.Host, ":"); host != "mcp.example.com" {
			http.Error(w, "Host not allowed", http.StatusForbidden)
		}
	}))
	if r := askAs(t, checkOf(nil), at(netip.AddrPort{}, addr), 30*time.Second); r.Code != L7STS || !strings.Contains(r.Text(), "Host was "+addr.String()+"; check.host sets another") {
		t.Errorf("by its address: %q", r)
	}
	if r := askAs(t, checkOf(func(c *conf.Check) { c.Host = "mcp.example.com" }), at(netip.AddrPort{}, addr), 30*time.Second); r.Code != L7OK {
		t.Errorf("by its name: %q", r)
	}
}
