package proxy

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/proxy/admin"
)

// askFrom connects from a given address and asks for the name of the server.
func (r *running) askFrom(source string) string {
	r.t.Helper()
	d := net.Dialer{Timeout: endpoint.Patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	c, err := d.Dial("tcp", r.address("f"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(endpoint.Patience))
	if _, err := fmt.Fprintln(c, "who?"); err != nil {
		r.t.Fatal(err)
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		r.t.Fatalf("asking from %s: %v", source, err)
	}
	return answer
}

// servedBy returns the server that answers each source.
func (r *running) servedBy(sources int) map[string]string {
	found := map[string]string{}
	for i := range sources {
		source := fmt.Sprintf("127.1.0.%d", 1+i)
		found[source] = r.askFrom(source)
	}
	return found
}

// A source stays on its server across reconnects and reloads. When the server dies,
// its sources move, and no others; when it is up again, they return.
func TestSourcesStick(t *testing.T) {
	t.Parallel()
	const sources = 40
	var servers []*endpoint.Server
	var addresses []string
	for i := range 4 {
		s := endpoint.Serve(t, name(fmt.Sprintf("s%d", i+1)))
		servers, addresses = append(servers, s), append(addresses, s.Address)
	}
	text := func(interval string) string {
		return frontendText("f", anyPort, "tcp", "b") + backendText("b", addresses, `sticky_time = "1h"`, checkedEvery(interval))
	}
	r := start(t, text("1h"))
	first := r.servedBy(sources)
	counts := map[string]int{}
	for _, who := range first {
		counts[who]++
	}
	if len(counts) != 4 {
		t.Errorf("the sources are spread as %v, want over four servers", counts)
	}
	for range 5 {
		r.checkMoved(first, r.servedBy(sources), "")
	}
	r.apply(text("1h") + frontendText("g", "127.0.0.2:0", "tcp", "b"))
	r.checkMoved(first, r.servedBy(sources), "")

	servers[1].Shut()
	servers[1].Cut()
	r.checkMoved(first, r.servedBy(sources), "s2\n")
	r.eventually("server s2 is down", func() bool { return r.server("s2").State == admin.ServerDown })
	r.checkMoved(first, r.servedBy(sources), "s2\n")
	servers[1].Open()
	r.apply(text("50ms"))
	r.eventually("server s2 is up", func() bool { return r.server("s2").State == admin.ServerUp })
	r.apply(text("1h"))
	r.trusted()
	r.checkMoved(first, r.servedBy(sources), "")
}

// checkMoved checks that the sources of one server, and no others, have moved.
func (r *running) checkMoved(before, after map[string]string, gone string) {
	r.t.Helper()
	for source, who := range before {
		if now := after[source]; (now != who) != (who == gone) {
			r.t.Errorf("%s was on %q and is on %q", source, who, now)
		}
	}
}
