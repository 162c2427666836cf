package convert

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// node is a server with sessions, which it forgets when it ends.
type node struct {
	name, address string

	mu       sync.Mutex
	sessions map[string]bool // guarded by mu
	server   *http.Server    // guarded by mu
}

// ServeHTTP opens a session, or answers in one: 404 where it knows none of that name.
func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w.Header().Set("X-Server", n.name)
	switch session := r.Header.Get("X-Session"); {
	case r.URL.Path == "/health":
	case session == "":
		session = fmt.Sprint(n.name, "-", len(n.sessions))
		n.sessions[session] = true
		w.Header().Set("X-Session", session)
	case !n.sessions[session]:
		w.WriteHeader(http.StatusNotFound)
	}
}

// begin serves, at its first address again if it has served before, without sessions.
func (n *node) begin(t *testing.T) {
	t.Helper()
	socket, err := net.Listen("tcp", n.address)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.address, n.sessions, n.server = socket.Addr().String(), map[string]bool{}, &http.Server{Handler: n}
	go n.server.Serve(socket)
}

func (n *node) end() {
	n.mu.Lock()
	server := n.server
	n.mu.Unlock()
	server.Close()
}

// visitor is a client with a source address of its own, in a session.
type visitor struct {
	first, server string // where its first session and its present one are
	session       string
	client        *http.Client
}

func newVisitor(i int) *visitor {
	from := &net.TCPAddr{IP: net.IPv4(127, 62, byte(i), 1)} // ip_hash goes by three bytes
	return &visitor{client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: (&net.Dialer{LocalAddr: from}).DialContext}}}
}

// ask asks in the session, and opens another if that is lost. It reports the server that
// had it, "" if it is not lost.
func (v *visitor) ask(address string) (lost string) {
	for range 100 {
		request, _ := http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
		if v.session != "" {
			request.Header.Set("X-Session", v.session)
		}
		response, err := v.client.Do(request)
		if err == nil {
			response.Body.Close()
		}
		switch {
		case err == nil && response.StatusCode == http.StatusOK && v.session != "":
			return lost
		case err == nil && response.StatusCode == http.StatusOK:
			v.session, v.server = response.Header.Get("X-Session"), response.Header.Get("X-Server")
			if v.first == "" {
				v.first = v.server
			}
			return lost
		case v.session != "":
			lost, v.session = v.server, ""
		}
		time.Sleep(50 * time.Millisecond)
	}
	return lost
}

// losses are what a node costs that ends and comes back: sessions of the node itself, of
// its clients on the servers where they were meanwhile, and of other clients.
type losses struct{ own, again, others int }

// returning has clients ask every 100 ms while the second of four nodes is away for so long,
// and for as long as watched after that.
func returning(t *testing.T, address string, nodes []*node, away, watched time.Duration) (sum losses) {
	t.Helper()
	visitors := make([]*visitor, 48)
	for i := range visitors {
		visitors[i] = newVisitor(i)
		defer visitors[i].client.CloseIdleConnections()
		visitors[i].ask(address)
	}
	broken := nodes[1]
	var asking sync.WaitGroup
	var mu sync.Mutex // guards sum
	until := time.Now().Add(away + watched)
	broken.end()
	for _, v := range visitors {
		asking.Go(func() {
			for time.Now().Before(until) {
				lost := v.ask(address)
				mu.Lock()
				sum.add(lost, v.first, broken.name)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	time.Sleep(away)
	broken.begin(t)
	asking.Wait()
	return sum
}

// add counts what a client has lost whose first session was on first.
func (l *losses) add(lost, first, broken string) {
	switch {
	case lost == "":
	case lost == broken && first == broken:
		l.own++
	case first == broken:
		l.again++
	default:
		l.others++
	}
}

const returningHAProxy = `
defaults
    mode http
    option redispatch
    retries 3
    timeout connect 5s
    timeout client 5m
    timeout server 5m
    default-server inter 3s rise 2 fall 2
frontend f
    bind @L1@
    default_backend nodes
backend nodes
    %s
    option httpchk GET /health
    server a1 @a1@ check
    server b1 @b1@ check
    server c1 @c1@ check
    server d1 @d1@ check
`

const returningNginx = nginxHead + `
http {` + nginxTemp + `
    upstream nodes {
        ip_hash;
        server @a1@ %[1]s;
        server @b1@ %[1]s;
        server @c1@ %[1]s;
        server @d1@ %[1]s;
    }
    server { listen @L1@; location / { proxy_pass http://nodes; } }
}
`

// TestReturningNode shows what a node costs that is away for a moment, beside HAProxy and
// nginx: whose sessions are lost, and why. A client that never was on the node must lose
// nothing. Run with -v, it prints the table of docs/convert.md.
func TestReturningNode(t *testing.T) {
	if os.Getenv("MCPLB_LONG") == "" {
		t.Skip("MCPLB_LONG is not set: it takes six minutes")
	}
	for _, c := range []struct {
		name     string
		language Language
		text     string
		watched  time.Duration // longer than the original leaves a server alone
	}{
		{"HAProxy, balance source", HAProxy, fmt.Sprintf(returningHAProxy, "balance source\n    hash-type consistent"), 10 * time.Second},
		{"HAProxy, stick on src", HAProxy, fmt.Sprintf(returningHAProxy, "balance roundrobin\n    stick-table type ip size 1m expire 30m\n    stick on src"), 10 * time.Second},
		{"nginx, max_fails=3", Nginx, fmt.Sprintf(returningNginx, "max_fails=3 fail_timeout=10s"), 15 * time.Second},
		{"nginx, max_fails=1", Nginx, fmt.Sprintf(returningNginx, "max_fails=1 fail_timeout=10s"), 15 * time.Second},
	} {
		if _, err := exec.LookPath(string(c.language)); err != nil {
			t.Errorf("%s is not installed", c.language)
			continue
		}
		for _, away := range []time.Duration{50 * time.Millisecond, 2 * time.Second, 8 * time.Second} {
			s := newStage(t)
			nodes := make([]*node, 4)
			for i, name := range []string{"a1", "b1", "c1", "d1"} {
				nodes[i] = &node{name: name, address: fmt.Sprintf("127.93.251.%d:0", i+1)} // where nobody else takes the port
				nodes[i].begin(t)
				t.Cleanup(nodes[i].end)
				s.servers[name] = nodes[i].address
			}
			for _, b := range []struct {
				who string
				*balancer
			}{{"original", s.original(string(c.language), c.text)}, {"mcplb", s.converted(c.language, c.text, false)}} {
				time.Sleep(4 * time.Second) // until checks have had their say
				got := returning(t, b.listeners[0], nodes, away, c.watched)
				t.Logf("%-24s away %4v  %-8s  of the node %2d, again %2d, of others %d", c.name, away, b.who, got.own, got.again, got.others)
				if got.others > 0 && b.who == "mcplb" {
					t.Errorf("%s: %d clients that never were on the node have lost their session", c.name, got.others)
				}
			}
		}
	}
}
