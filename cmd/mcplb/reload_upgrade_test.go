package main

import (
	"fmt"
	"syscall"
	"testing"
)

// Who is connected to a server that a reload has removed lives through an
// upgrade, too, and so does who is connected in a mode that the frontend has no
// more; nobody new gets there.
func TestUpgradeAfterRemoval(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t), startEcho(t))
	s.backend = "balance = 'roundrobin'"
	l := startLine(t, s)
	first := l.serving(t)
	clients := []*client{connect(t, l.frontend), connect(t, l.frontend)} // one of each server
	for _, c := range clients {
		c.expectEcho(t)
	}
	s.servers, s.mode = s.servers[:1], "mcp"
	s.write(t)
	l.send(t, first, syscall.SIGHUP)
	l.await(t, `msg=reloaded .*-server nodes/node2`)
	l.send(t, first, syscall.SIGUSR2)
	l.await(t, `the new process serves`)
	l.awaitGone(t, first) // at once: both have moved
	for _, c := range clients {
		c.expectEcho(t)
	}
	eventually(t, func() error {
		shown := l.status(t)
		if n := shown.Process.Connections.Current; n != 2 {
			return fmt.Errorf("%d clients", n)
		}
		if got := shown.Leaving.Servers; len(got) != 1 || got[0].Name != "node2" || got[0].Connections != 1 {
			return fmt.Errorf("leaving are %+v", got)
		}
		return nil
	})
	for range 2 {
		connect(t, l.frontend).expectEcho(t)
	}
	if n := l.status(t).Backends[0].Servers[0].Connections.Current; n != 3 {
		t.Errorf("%d clients are on the server that is left, want 3", n)
	}
	for _, c := range clients {
		c.Close()
	}
	eventually(t, func() error {
		if got := l.status(t).Leaving.Servers; len(got) != 0 {
			return fmt.Errorf("leaving are %+v", got)
		}
		return nil
	})
}
