package main

import (
	"fmt"
	"syscall"
	"testing"
)

// Connections to a server that a reload has removed survive an upgrade, and so do
// connections in a mode that the frontend does not have any more. New clients do not
// reach that server.
func TestUpgradeAfterRemoval(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t), startEcho(t))
	s.backend = "balance = 'roundrobin'"
	l := startLineage(t, s)
	first := l.serving(t)
	clients := []*client{connect(t, l.frontend), connect(t, l.frontend)} // one per server
	for _, c := range clients {
		c.expectEcho(t)
	}
	s.servers, s.mode = s.servers[:1], "mcp"
	s.write(t)
	l.send(t, first, syscall.SIGHUP)
	l.await(t, `msg=reloaded .*-server nodes/node2`)
	l.send(t, first, syscall.SIGUSR2)
	l.await(t, `the new process serves`)
	l.awaitGone(t, first) // at once: both connections have moved
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
		t.Errorf("%d clients are on the remaining server, want 3", n)
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
