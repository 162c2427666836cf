package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// The ways in which a connection can be used and come to its end. Each is told
// to the server in the client's first line, where there is one.
const (
	endsByFIN      = "fin"       // the client closes
	endsByRST      = "rst"       // the client breaks off
	endsByHalves   = "halves"    // the client finishes sending, and waits for the server's end
	endsByServer   = "serverfin" // the server closes
	endsByTheOther = "serverrst" // the server breaks off
	endsUnread     = "unread"    // the client breaks off with the balancer's hands full of its bytes
	endsUnused     = "unused"    // the client closes before it has sent anything
	endsBySilence  = "silence"   // nobody says anything until the balancer ends it
)

var endings = []string{endsByFIN, endsByRST, endsByHalves, endsByServer, endsByTheOther, endsUnread, endsUnused, endsBySilence}

// flood is what an unread client is sent: more than the sockets' buffers hold.
const flood = 32 << 20

// serveEnding answers each line with itself and ends as the first one says.
func serveEnding(conn *net.TCPConn) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		switch ending, _, _ := strings.Cut(string(buffer[:n]), "\n"); ending {
		case endsByServer:
			return
		case endsByTheOther:
			_ = conn.SetLinger(0) // the client sees whether it was a reset
			return
		case endsUnread:
			_, _ = io.CopyN(conn, zeros{}, flood) // until the client breaks off
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// zeros is as many of them as one reads.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// live opens a connection, uses it and has it end.
func live(from, address, ending string) error {
	c, err := dialFrom(from, address)
	if err != nil {
		return err
	}
	defer c.Close()
	switch ending {
	case endsUnused:
		return nil
	case endsBySilence:
		return c.expectEnd(io.EOF, syscall.ECONNRESET)
	}
	if ending == endsUnread {
		if err := c.SetReadBuffer(4 << 10); err != nil { // soon full
			return err
		}
	}
	if _, err := io.WriteString(c, ending+"\n"); err != nil {
		return err
	}
	switch ending {
	case endsByServer:
		return c.expectEnd(io.EOF)
	case endsByTheOther:
		return c.expectEnd(syscall.ECONNRESET)
	}
	if _, err := c.lines.ReadByte(); err != nil { // the echo, or the flood
		return err
	}
	switch ending {
	case endsByRST, endsUnread:
		return c.SetLinger(0)
	case endsByHalves:
		if err := c.CloseWrite(); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, c.lines)
		return err
	}
	return nil
}

// expectEnd waits for one of these errors.
func (c *client) expectEnd(want ...error) error {
	_, err := c.lines.ReadByte()
	for _, one := range want {
		if errors.Is(err, one) {
			return nil
		}
	}
	return fmt.Errorf("the connection ends with %w, want one of %v", err, want)
}

// usage is what a process has in use.
type usage struct{ sockets, pipes, otherFiles, goroutines, resident int }

func (u usage) String() string {
	return fmt.Sprintf("%d sockets, %d ends of pipes, %d other files, %d goroutines, %.1f MB resident",
		u.sockets, u.pipes, u.otherFiles, u.goroutines, float64(u.resident)/(1<<20))
}

// usage is what the balancer has in use, as the kernel and /metrics show it.
func (b *balancer) usage(t *testing.T) usage {
	t.Helper()
	values := b.metrics(t)
	u := usage{goroutines: int(values["go_goroutines"]), resident: int(values["process_resident_memory_bytes"])}
	directory := fmt.Sprintf("/proc/%d/fd/", b.command.Process.Pid)
	files, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		switch target, err := os.Readlink(directory + file.Name()); {
		case err != nil: // closed meanwhile
		case strings.HasPrefix(target, "socket:"):
			u.sockets++
		case strings.HasPrefix(target, "pipe:"):
			u.pipes++
		default:
			u.otherFiles++
		}
	}
	return u
}

// endingReasons are how the balancer is to count them.
var endingReasons = map[string]string{
	endsByFIN:      "client_closed",
	endsByRST:      "client_reset",
	endsByHalves:   "client_closed",
	endsByServer:   "server_closed",
	endsByTheOther: "server_reset",
	endsUnread:     "client_reset",
	endsUnused:     "client_closed",
	endsBySilence:  "idle_timeout",
}

// TestChurn opens, uses and ends connections in every way, by both modes: then
// each is counted for what it was, and the balancer holds what it held before.
// The measure is what it held after a first half, because that is when its
// pools have been filled.
func TestChurn(t *testing.T) {
	t.Parallel()
	connections := full(200_000, 5120) // as many of each ending, in each mode
	s := newSetup(t, startServer(t, serveEnding), startServer(t, serveEnding))
	s.ratelimit = "connection_rate = 0\nmessage_rate = 0"
	s.frontendLines = "timeout_client = '3s'"
	lines := freeAddress(t)
	s.tables = fmt.Sprintf("[frontend.lines]\nlisten = '%s'\nmode = 'mcp'\nbackend = 'nodes'\n%s\n", lines, s.frontendLines)
	b := startBalancer(t, s)

	churn := func(n int) {
		forEachOf(t, 1000, n, func(i int) error {
			address := []string{b.frontend, lines}[i/len(endings)%2]
			if err := live(source(i%1000), address, endings[i%len(endings)]); err != nil {
				return fmt.Errorf("%s: %w", endings[i%len(endings)], err)
			}
			return nil
		})
		b.awaitIdle(t)
	}
	churn(connections / 2)
	before := b.usage(t)
	churn(connections / 2)
	b.expectEndings(t, uint64(connections/2/len(endings)))
	b.expectUsage(t, before)
}

// expectEndings checks that each frontend counted so many of each ending, and
// nothing else.
func (b *balancer) expectEndings(t *testing.T, each uint64) {
	t.Helper()
	want := map[string]uint64{}
	for _, ending := range endings {
		want[endingReasons[ending]] += each
	}
	for _, f := range b.status(t).Frontends {
		for reason, n := range f.SessionsEnded {
			if n != want[reason] {
				t.Errorf("frontend %s ended %d connections as %s, want %d", f.Name, n, reason, want[reason])
			}
		}
		for reason, n := range f.Refused {
			if n != 0 {
				t.Errorf("frontend %s refused %d connections as %s", f.Name, n, reason)
			}
		}
	}
}

// mostPipeEnds are those that the balancer keeps for splicing, each pipe with
// its two, and the two of its log.
const mostPipeEnds = 2*48 + 2

// expectUsage waits until the balancer has no more in use than before. Pipes
// are kept for the next stream, within their bound; memory may vary by what
// the garbage collector has not looked at yet.
func (b *balancer) expectUsage(t *testing.T, before usage) {
	t.Helper()
	const (
		slack  = 24 << 20 // a leak of 5,000 connections, or of 200,000, is more
		probes = 8        // goroutines that come and go: checks, pages, the collector
	)
	var after usage
	eventually(t, func() error {
		after = b.usage(t)
		if after.sockets > before.sockets || after.pipes > mostPipeEnds || after.otherFiles > before.otherFiles ||
			after.goroutines > before.goroutines+probes || after.resident > before.resident+slack {
			return fmt.Errorf("in use are %v, and before were %v", after, before)
		}
		return nil
	})
	t.Logf("before: %v", before)
	t.Logf("after:  %v", after)
}
