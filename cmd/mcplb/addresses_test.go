package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// lastPort numbers the ports that widePort has tried, all below those that the kernel
// gives to clients.
var lastPort atomic.Uint32

// widePort is a port that nobody uses on any address.
func widePort(t *testing.T) string {
	t.Helper()
	syscall.ForkLock.RLock() // a process that starts at the same time would hold the port for a moment
	defer syscall.ForkLock.RUnlock()
	for range 1000 {
		port := fmt.Sprint(10_000 + (uint32(os.Getpid())*37+lastPort.Add(1))%20_000)
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// TestChangedAddresses changes the addresses of a frontend and of the pages to ones that
// overlap with the old ones, with the other's, and with another protocol, by reloads and by
// upgrades: what one takes, the other takes. Otherwise an operator cannot upgrade with a
// file that is valid.
func TestChangedAddresses(t *testing.T) {
	for how, sig := range map[string]syscall.Signal{"reload": syscall.SIGHUP, "upgrade": syscall.SIGUSR2} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, startEcho(t))
			directory := t.TempDir()
			writePair(t, directory, time.Now().AddDate(0, 6, 0))
			tls := fmt.Sprintf("tls = { certificates = [{ cert = '%s/lb.pem', key = '%s/lb.key' }] }", directory, directory)
			p, q, a := widePort(t), widePort(t), widePort(t)
			s.frontend, s.admin = ":"+p, ":"+a
			l := startLineage(t, s)
			for _, step := range []struct{ name, frontend, admin, lines, mode string }{
				{"every address to one", "127.0.0.1:" + p, "127.0.0.1:" + a, "", ""},
				{"one to every address", ":" + p, ":" + a, "", ""},
				{"every address to IPv4", "0.0.0.0:" + p, "0.0.0.0:" + a, "", ""},
				{"the page where the frontend was", "127.0.0.1:" + q, "127.0.0.1:" + p, "", ""},
				{"the frontend where the page was", ":" + p, "127.0.0.1:" + a, "", ""},
				{"another mode", ":" + p, "127.0.0.1:" + a, "", "mcp"},
				{"TLS", "127.0.0.1:" + p, "127.0.0.1:" + a, tls, "tcp"},
				{"no TLS", ":" + p, ":" + a, "", "tcp"},
			} {
				l.change(t, sig, step.frontend, step.admin, step.lines, step.mode)
				if step.lines == "" && step.mode != "mcp" {
					eventually(t, func() error { return tryEcho(local(step.frontend)) }) // pages that were there may still be closing
				}
				eventually(t, func() error { // the old process may still be closing the pages
					if code, body, err := tryGet(local(step.admin), "/api/v1/status"); err != nil || code != 200 {
						return fmt.Errorf("%s: the status at %s: %d, %v: %s", step.name, step.admin, code, err, body)
					}
					return nil
				})
			}
		})
	}
}

// tryEcho expects the echo of a line at an address.
func tryEcho(address string) error {
	c, err := dialFrom("", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if answer, err := c.roundTrip("hello"); err != nil || answer != "hello" {
		return fmt.Errorf("got %q, %v; want the echo of hello", answer, err)
	}
	return nil
}

// change writes the addresses and has them applied.
func (l *lineage) change(t *testing.T, sig syscall.Signal, frontend, admin, lines, mode string) {
	t.Helper()
	l.frontend, l.admin, l.frontendLines = frontend, admin, lines
	if mode != "" {
		l.mode = mode
	}
	l.write(t)
	if sig == syscall.SIGUSR2 {
		before, _ := l.upgrade(t)
		l.awaitGone(t, before)
		return
	}
	before := strings.Count(l.log.String(), "reloaded")
	l.send(t, l.serving(t), sig)
	l.await(t, fmt.Sprintf(`(?s:(msg=reloaded.*){%d})`, before+1))
}

// local is an address where this machine reaches one to listen on.
func local(listen string) string {
	_, port, _ := net.SplitHostPort(listen)
	return net.JoinHostPort("127.0.0.1", port)
}
