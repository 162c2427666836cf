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

// The ways in which a connection is used and ends. The client's first line, if it
// sends one, names the ending to the server.
const (
	endsByFIN       = "fin"       // the client closes
	endsByRST       = "rst"       // the client resets
	endsByHalves    = "halves"    // the client finishes sending and waits for the server's end
	endsByServerFIN = "serverfin" // the server closes
	endsByServerRST = "serverrst" // the server resets
	endsUnread      = "unread"    // the client resets while the balancer holds bytes for it
	endsUnused      = "unused"    // the client closes before it has sent anything
	endsBySilence   = "silence"   // neither side sends until the balancer closes
)

var endings = []string{endsByFIN, endsByRST, endsByHalves, endsByServerFIN, endsByServerRST, endsUnread, endsUnused, endsBySilence}

// flood is the number of bytes sent to an unread client: more than the sockets'
// buffers hold.
const flood = 32 << 20

// serveEnding echoes each line and ends as the first one says.
func serveEnding(conn *net.TCPConn) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		switch ending, _, _ := strings.Cut(string(buffer[:n]), "\n"); ending {
		case endsByServerFIN:
			return
		case endsByServerRST:
			_ = conn.SetLinger(0) // the client sees whether it was a reset
			return
		case endsUnread:
			_, _ = io.CopyN(conn, zeros{}, flood) // until the client resets
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// zeros is an endless stream of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// live opens a connection, uses it and ends it in a way.
func live(from, address, ending string) error {
	c, err := dialFrom(from, address)
	if ending == endsBySilence && errors.Is(err, syscall.ECONNRESET) {
		return nil // it took longer to learn of the connection than the timeout
	}
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
	case endsByServerFIN:
		return c.expectEnd(io.EOF)
	case endsByServerRST:
		return c.expectEnd(syscall.ECONNRESET)
	}
	if _, err := c.readByte(); err != nil { // the echo, or the flood
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

// expectEnd waits for the end of the connection, by one of these errors.
func (c *client) expectEnd(want ...error) error {
	_, err := c.readByte()
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

// endingReasons are the reasons by which the balancer counts the endings.
var endingReasons = map[string]string{
	endsByFIN:       "client_closed",
	endsByRST:       "client_reset",
	endsByHalves:    "client_closed",
	endsByServerFIN: "server_closed",
	endsByServerRST: "server_reset",
	endsUnread:      "client_reset",
	endsUnused:      "client_closed",
	endsBySilence:   "idle_timeout",
}

// TestChurn opens, uses and ends connections in every way, in both modes. Each is
// counted by its ending, and the balancer then holds no more than before. It is
// compared with what it held after the first half, because its pools are full by
// then.
func TestChurn(t *testing.T) {
	t.Parallel()
	connections := full(200_000, 5120) // as many of each ending, in each mode
	b, frontends := startChurned(t)
	churn := func(n int) {
		forEachOf(t, 1000, n, func(i int) error {
			ending, mode := endings[i%len(endings)], i/len(endings)%2
			if err := live(source(i%1000), frontends.address(ending, mode), ending); err != nil {
				return fmt.Errorf("%s: %w", ending, err)
			}
			return nil
		})
		b.awaitIdle(t)
	}
	churn(connections / 2)
	before := b.usage(t)
	churn(connections / 2)
	b.expectEndings(t, frontends, uint64(connections/2/len(endings)))
	b.expectUsage(t, before)
}

// churned are the addresses of the frontends under churn, one per mode. Silence has
// frontends of its own: its short timeout would end other connections, too, when
// the clients are slow because the machine is busy.
type churned struct{ active, silent [2]string }

func (f *churned) address(ending string, mode int) string {
	if ending == endsBySilence {
		return f.silent[mode]
	}
	return f.active[mode]
}

func startChurned(t *testing.T) (*balancer, *churned) {
	t.Helper()
	s := newSetup(t, startServer(t, serveEnding), startServer(t, serveEnding))
	s.ratelimit = "connection_rate = 0\nmessage_rate = 0"
	f := &churned{active: [2]string{s.frontend, freeAddress(t)}, silent: [2]string{freeAddress(t), freeAddress(t)}}
	add := func(name, address, mode, lines string) {
		s.tables += fmt.Sprintf("[frontend.%s]\nlisten = '%s'\nmode = '%s'\nbackend = 'nodes'\n%s\n", name, address, mode, lines)
	}
	add("lines", f.active[1], "mcp", "")
	add("silent", f.silent[0], "tcp", "timeout_client = '3s'")
	add("silentlines", f.silent[1], "mcp", "timeout_client = '3s'")
	return startBalancer(t, s), f
}

// expectEndings checks that each frontend counted so many of each of its endings,
// and nothing else.
func (b *balancer) expectEndings(t *testing.T, frontends *churned, each uint64) {
	t.Helper()
	want := map[string]map[string]uint64{} // by a frontend's address and the reason
	for _, ending := range endings {
		for mode := range 2 {
			address := frontends.address(ending, mode)
			if want[address] == nil {
				want[address] = map[string]uint64{}
			}
			want[address][endingReasons[ending]] += each
		}
	}
	for _, f := range b.status(t).Frontends {
		for reason, n := range f.SessionsEnded {
			if wanted := want[f.Listen[0]][reason]; n != wanted {
				t.Errorf("frontend %s ended %d connections as %s, want %d", f.Name, n, reason, wanted)
			}
		}
		for reason, n := range f.Refused {
			if n != 0 {
				t.Errorf("frontend %s refused %d connections as %s", f.Name, n, reason)
			}
		}
	}
}

// mostPipeEnds is the number of pipe ends that the balancer keeps: two of each pipe
// for splicing, and the two of its log.
const mostPipeEnds = 2*48 + 2

// expectUsage waits until the balancer has no more in use than before. It keeps
// pipes for the next stream, within their bound; memory may vary by garbage that is
// not collected yet.
func (b *balancer) expectUsage(t *testing.T, before usage) {
	t.Helper()
	const (
		slack  = 24 << 20 // a leak of 5,000 connections, or of 200,000, is more
		probes = 8        // short-lived goroutines: checks, pages, the collector
	)
	var after usage
	eventually(t, func() error {
		after = b.usage(t)
		if after.sockets > before.sockets || after.pipes > mostPipeEnds || after.otherFiles > before.otherFiles ||
			after.goroutines > before.goroutines+probes || after.resident > before.resident+slack {
			return fmt.Errorf("in use: %v; before: %v", after, before)
		}
		return nil
	})
	t.Logf("before: %v", before)
	t.Logf("after:  %v", after)
}
