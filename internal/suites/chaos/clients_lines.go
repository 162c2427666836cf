package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
)

// speak sends lines and expects each back.
func (c *client) speak(ctx context.Context, port int, preface string) error {
	conn, err := c.dial(port)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, preface); err != nil {
		return err
	}
	lines := bufio.NewReader(conn)
	for n := range 1 + c.random.IntN(60) {
		if ctx.Err() != nil {
			return nil
		}
		if err := c.say(conn, lines, port, n); err != nil {
			return err
		}
		if c.aborts(conn) {
			return errAborted
		}
	}
	return nil
}

// say sends a message and expects it back. In between the client may abort.
func (c *client) say(conn net.Conn, lines *bufio.Reader, port, n int) error {
	message := c.message(n)
	part := c.random.IntN(len(message))
	for _, piece := range []string{message[:part], message[part:]} {
		if c.aborts(conn) {
			return errAborted
		}
		if _, err := io.WriteString(conn, piece); err != nil {
			return err
		}
	}
	got, err := lines.ReadString('\n')
	if !strings.HasPrefix(message, got) && !(port != tcpPort && refusal(got)) {
		return wrong("line", got, message)
	}
	if err == nil && got != message {
		return fmt.Errorf("the balancer refuses: %.200s", got)
	}
	return err
}

// refusal reports whether a line is an error of the balancer itself.
func refusal(line string) bool {
	return strings.HasPrefix(line, `{"jsonrpc":"2.0"`) && strings.Contains(line, `"error":`)
}

func (c *client) speakBehindProxy(ctx context.Context) error {
	source := c.scene.disturbedSource(c.number)
	if c.steady {
		source = fmt.Sprintf("127.78.3.%d", c.number%250+1)
	}
	return c.speak(ctx, proxyPort, fmt.Sprintf("PROXY TCP4 %s 127.77.0.1 %d 8004\r\n", source, 1024+c.number))
}

// halfClose sends everything, finishes, and expects everything back and then the end.
func (c *client) halfClose(context.Context) error {
	conn, err := c.dial(tcpPort)
	if err != nil {
		return err
	}
	defer conn.Close()
	var sent strings.Builder
	for n := range 1 + c.random.IntN(10) {
		sent.WriteString(c.message(n))
	}
	go func() { // it ends with conn
		if _, err := io.WriteString(conn, sent.String()); err == nil {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	got, err := io.ReadAll(conn)
	switch {
	case !strings.HasPrefix(sent.String(), string(got)):
		return wrong("stream", string(got), sent.String())
	case err == nil && len(got) != sent.Len():
		return fmt.Errorf("only %d bytes of %d came back before the end", len(got), sent.Len())
	}
	return err
}

var rubbish = []string{
	"\x00\x01\x02\x03", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\r\n\r\n\r\n\r\n", "{", "PROXY TCP4 x\r\n",
	"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /" + strings.Repeat("a", 70_000), "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this",
}

// garbage sends what makes no sense and leaves. Whatever comes back is right, if the
// balancer lives on.
func (c *client) garbage(context.Context) error {
	conn, err := c.dial(tcpPort + 1 + c.random.IntN(4))
	if err != nil {
		return err
	}
	defer conn.Close()
	for range 1 + c.random.IntN(3) {
		if _, err := io.WriteString(conn, rubbish[c.random.IntN(len(rubbish))]); err != nil {
			break // it was refused
		}
	}
	if c.random.IntN(2) == 0 {
		reset(conn)
	}
	return nil
}
