package proxy

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/internal/endpoint"
	"mcplb/proxy/admin"
)

// respond is a server of HTTP that answers every request, and ends never.
func respond(c *net.TCPConn) {
	p := make([]byte, 4096)
	for {
		if _, err := c.Read(p); err != nil {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

func httpServerText(address, more string) string {
	return "[backend.b]\n" + more + "\n[[backend.b.server]]\nname = 's1'\nhttp = '" + address + "'\n"
}

// A reload that shortens timeout_idle holds for the connections that are kept already: the
// operator shortens it because their servers close them.
func TestReloadOfTimeoutIdle(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, respond)
	front := frontendText("f", anyPort, "http", "b")
	r := start(t, front+httpServerText(s.Address, "timeout_idle = 0"))
	c := dial(t, r.address("f"))
	c.Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.Hear("HTTP/1.1 200 OK\r\n")
	idle := func() int64 { return r.Snapshot().Backends[0].Servers[0].Idle }
	endpoint.Eventually(t, "the connection is kept", func() bool { return idle() == 1 })
	r.apply(front + httpServerText(s.Address, "timeout_idle = 0\nretries = 1"))
	if idle() != 1 {
		t.Error("a reload of something else closes idle connections")
	}
	r.apply(front + httpServerText(s.Address, "timeout_idle = '50ms'"))
	endpoint.Eventually(t, "it is closed", func() bool { return idle() == 0 && s.Idle() })
	c.Reset()
}

// An operator reads in the log, the status and the events when a server that drains is
// empty, once, and when it is no longer.
func TestDrainsAreWatched(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	front := frontendText("f", anyPort, "tcp", "b")
	r := start(t, front+backendText("b", []string{s.Address}))
	c := dial(t, r.address("f"))
	c.Ask("hello")
	now := time.Unix(1_800_000_000, 0)
	emptied := func() time.Time { return r.Snapshot().Backends[0].Servers[0].Emptied }
	r.drains.look(now)
	drain := admin.AdminDrain
	if _, err := r.SetServer("b", "s1", admin.ServerChange{Admin: &drain}); err != nil {
		t.Fatal(err)
	}
	r.drains.look(now)
	if !emptied().IsZero() {
		t.Error("a server with a connection is empty")
	}
	server := r.backends["b"].Servers()[0]
	key := backend.KeyOfSession([]byte("x"))
	server.UseSession(key, r.engine.Now())
	c.Reset()
	endpoint.Eventually(t, "the connection has ended", func() bool { return server.Conns() == 0 })
	r.drains.look(now)
	if shown := r.Snapshot().Backends[0].Servers[0]; !shown.Emptied.IsZero() || shown.Sessions != 1 || !strings.Contains(shown.Left(), "1 session left") {
		t.Errorf("a server with a session: empty since %v, %d sessions, %q", shown.Emptied, shown.Sessions, shown.Left())
	}
	server.EndSession(key)
	endpoint.Eventually(t, "it is found empty", func() bool { return !emptied().IsZero() })
	server.UseSession(key, r.engine.Now())
	endpoint.Eventually(t, "it has clients again", func() bool { return emptied().IsZero() })
}
