package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// client is a connection of a client that sends and receives lines.
type client struct {
	*net.TCPConn
	lines *bufio.Reader
}

// dialFrom connects from a source address, "" for any.
func dialFrom(source, address string) (*client, error) {
	dialer := net.Dialer{Timeout: patience}
	if source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{conn.(*net.TCPConn), bufio.NewReaderSize(conn, 1<<10)}
	if err := c.renew(); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// renew restarts the deadline, before each use of the connection: it does not count
// for how long a test holds it.
func (c *client) renew() error { return c.SetDeadline(time.Now().Add(patience)) }

// connect connects to a frontend until the test ends.
func connect(t *testing.T, address string) *client {
	t.Helper()
	c, err := dialFrom("", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// readByte waits for the next byte, or the end of the connection.
func (c *client) readByte() (byte, error) {
	if err := c.renew(); err != nil {
		return 0, err
	}
	return c.lines.ReadByte()
}

// roundTrip sends a line and returns the line that comes back.
func (c *client) roundTrip(line string) (string, error) {
	if err := c.renew(); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	answer, err := c.lines.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

// expectEcho checks that an echo server answers.
func (c *client) expectEcho(t *testing.T) {
	t.Helper()
	if answer, err := c.roundTrip("hello"); err != nil || answer != "hello" {
		t.Fatalf("got %q, %v; want the echo of hello", answer, err)
	}
}

// expectReset waits for a RST.
func (c *client) expectReset(t *testing.T) {
	t.Helper()
	if _, err := c.readByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ends with %v, want a reset", err)
	}
}

// startEcho runs an echo server.
func startEcho(t *testing.T) string {
	t.Helper()
	return startServer(t, func(conn *net.TCPConn) {
		// Copied, not spliced, because the net package keeps its pipes. The client
		// sees errors.
		_, _ = io.Copy(conn, struct{ io.Reader }{conn})
	})
}

// startSlowWeb is a server that answers requests when answerAll is called, or the
// test ends.
func startSlowWeb(t *testing.T) (address string, answerAll func()) {
	t.Helper()
	answer := make(chan struct{})
	address = startServer(t, func(c *net.TCPConn) {
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return // a check
		}
		<-answer
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})
	answerAll = sync.OnceFunc(func() { close(answer) })
	t.Cleanup(answerAll)
	return address, answerAll
}

// startServer runs serve for every connection and closes it afterwards. It must be
// started before the balancer, whose end then ends every connection.
func startServer(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	listener := listen(t)
	var working sync.WaitGroup
	working.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			working.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		working.Wait()
	})
	return listener.Addr().String()
}
