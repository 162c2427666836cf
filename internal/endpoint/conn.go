package endpoint

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Conn is a test's end of a connection, the client's or the server's. Its
// methods fail the test if their expectation is not met, so they are for the
// test's goroutine; those of the TCPConn are for any.
type Conn struct {
	*net.TCPConn
	testing.TB
	Reader *bufio.Reader // the received bytes, for tests that read them in another way
}

// New wraps a connection for a test. Its deadline is Patience from now, and it
// is reset when the test ends.
func New(t testing.TB, c *net.TCPConn) *Conn {
	t.Helper()
	t.Cleanup(func() { Reset(c) })
	if err := c.SetDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	return &Conn{TCPConn: c, TB: t, Reader: bufio.NewReader(c)}
}

// Dial connects to an address.
func Dial(t testing.TB, address string) *Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, Patience)
	if err != nil {
		t.Fatal(err)
	}
	return New(t, c.(*net.TCPConn))
}

// TurnedAway connects to an address and expects to be refused: by the kernel,
// or by the end or the reset of the connection before any byte arrives.
func TurnedAway(t testing.TB, address string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, Patience)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(Patience))
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the client was not refused: %v", err)
	}
}

// Reset closes a connection with RST.
func Reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // fails if it is closed already
	c.Close()
}

// Reset closes with RST.
func (c *Conn) Reset() { Reset(c.TCPConn) }

// Finish sends FIN; the other end's bytes can still be received.
func (c *Conn) Finish() {
	c.Helper()
	if err := c.CloseWrite(); err != nil {
		c.Fatal(err)
	}
}

// Say sends text.
func (c *Conn) Say(text string) {
	c.Helper()
	if _, err := io.WriteString(c.TCPConn, text); err != nil {
		c.Fatalf("sending %.40q: %v", text, err)
	}
}

// Hear expects to receive exactly text next, and leaves the bytes after it.
func (c *Conn) Hear(text string) {
	c.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(c.Reader, got); err != nil || string(got) != text {
		c.Fatalf("received %.200q, %v, want %.200q", got[:n], err, text)
	}
}

// Line receives one line, without its newline.
func (c *Conn) Line() string {
	c.Helper()
	text, err := c.Reader.ReadString('\n')
	if err != nil {
		c.Fatalf("received %.200q, %v, want a line", text, err)
	}
	return strings.TrimSuffix(text, "\n")
}

// Ask sends a line and returns the next line received.
func (c *Conn) Ask(text string) string {
	c.Helper()
	c.Say(text + "\n")
	return c.Line()
}

// HearEnd expects a normal end: FIN, and no bytes before it.
func (c *Conn) HearEnd() {
	c.Helper()
	if rest, err := io.ReadAll(c.Reader); err != nil || len(rest) > 0 {
		c.Fatalf("received %.200q, %v, want the end", rest, err)
	}
}

// HearCut expects FIN, whatever comes before it.
func (c *Conn) HearCut() {
	c.Helper()
	if rest, err := io.ReadAll(c.Reader); err != nil {
		c.Fatalf("received %.200q, %v, want an end", rest, err)
	}
}

// HearReset expects RST, whatever comes before it.
func (c *Conn) HearReset() {
	c.Helper()
	if rest, err := io.ReadAll(c.Reader); !errors.Is(err, syscall.ECONNRESET) {
		c.Fatalf("received %.200q, %v, want connection reset", rest, err)
	}
}
