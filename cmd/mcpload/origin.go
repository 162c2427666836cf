package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
)

// origin is the leanest server that mcpload's own clients take for an MCP
// server: over lines and over POSTs, answered with JSON. A balancer that stands
// before it is measured with as little as possible beside it. It keeps no
// sessions and takes every text for free of escapes, which mcpload's are.
type origin struct {
	name string
	loop *reactor.Loop
	ids  mcp.IDScanner
	head http1.RequestHead
	out  []byte
	body []byte
}

// originCommand is "mcpload origin".
func originCommand(ctx context.Context, args []string, _, stderr io.Writer) int {
	flags := flag.NewFlagSet("mcpload origin", flag.ContinueOnError)
	flags.SetOutput(stderr)
	name := flags.String("name", "origin", "what whoami answers")
	lines := flags.String("tcp", "", "answer lines at this `host:port`")
	web := flags.String("http", "", "answer POSTs at this `host:port`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := serveOrigin(ctx, *name, *lines, *web); err != nil {
		fmt.Fprintln(stderr, "mcpload origin:", err)
		return 1
	}
	return 0
}

// serveOrigin serves until ctx is done.
func serveOrigin(ctx context.Context, name, lines, web string) error {
	engine, err := reactor.Start(1, 0, reactor.Kernel())
	if err != nil {
		return fmt.Errorf("start the event loop: %w", err)
	}
	defer engine.Stop()
	o := &origin{name: name, loop: engine.Loops()[0]}
	for _, service := range []struct {
		address string
		handler reactor.AcceptHandler
	}{{lines, &originListener{o, false}}, {web, &originListener{o, true}}} {
		if service.address == "" {
			continue
		}
		config := net.ListenConfig{}
		config.SetMultipathTCP(false)
		socket, err := config.Listen(ctx, "tcp", service.address)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		defer socket.Close()
		listener, err := engine.Listen(socket.(*net.TCPListener), service.handler)
		if err != nil {
			return err
		}
		defer listener.Close()
	}
	<-ctx.Done()
	return nil
}

// originListener takes the clients of one address.
type originListener struct {
	origin *origin
	web    bool
}

// MayAccept implements reactor.AcceptHandler.
func (l *originListener) MayAccept() bool { return true }

// AcceptFailed implements reactor.AcceptHandler; the listener tries again.
func (l *originListener) AcceptFailed(unix.Errno) {}

// Accepted implements reactor.AcceptHandler.
func (l *originListener) Accepted(loop *reactor.Loop, fd int, _ netip.AddrPort) {
	_, _ = loop.Adopt(fd, &originConn{origin: l.origin, web: l.web}) // a client that could not be had sees it
}

// originConn is one client.
type originConn struct {
	origin *origin
	web    bool
	kept   reactor.PendingBuffer
	scan   http1.Scan
}

// Ready implements reactor.Handler.
func (c *originConn) Ready(conn *reactor.Conn) {
	scratch := c.origin.loop.Scratch()
	for !conn.Closed() && conn.Readable() {
		n, errno := conn.Read(scratch)
		if n <= 0 || errno != 0 {
			if errno != unix.EAGAIN {
				c.close(conn)
			}
			return
		}
		c.take(conn, scratch[:n])
	}
}

func (c *originConn) close(conn *reactor.Conn) {
	c.origin.loop.Drop(&c.kept)
	conn.Close()
}

// take answers every whole message of what has come and keeps the rest.
func (c *originConn) take(conn *reactor.Conn, p []byte) {
	loop := c.origin.loop
	had := c.kept.Len()
	if had > 0 {
		loop.Append(&c.kept, p)
		p = c.kept.Bytes()
	}
	c.origin.out = c.origin.out[:0]
	answer := c.origin.answerLines
	if c.web {
		answer = c.answerRequests
	}
	left, ok := answer(p)
	switch {
	case !ok || len(left) > maxMessage:
		c.close(conn)
		return
	case had > 0:
		loop.Consume(&c.kept, len(p)-len(left))
	default:
		loop.Append(&c.kept, left)
	}
	if len(c.origin.out) > 0 && conn.Send(c.origin.out) != 0 {
		c.close(conn)
	}
}

// answerLines answers the whole lines of p and returns what follows them.
func (o *origin) answerLines(p []byte) (rest []byte, ok bool) {
	for {
		line, after, complete := bytes.Cut(p, newline)
		if !complete {
			return p, true
		}
		p = after
		if body := o.answer(line); len(body) > 0 {
			o.out = append(append(o.out, body...), '\n')
		}
	}
}

// answerRequests answers the whole requests of p and returns what follows them.
func (c *originConn) answerRequests(p []byte) (rest []byte, ok bool) {
	o := c.origin
	for len(p) > 0 {
		n, reason := o.head.Parse(p, &c.scan, maxHead)
		if reason != http1.ReasonNone || o.head.Framing == http1.FramingChunked {
			return nil, false
		}
		whole := n + int(o.head.Length)
		if n == 0 || len(p) < whole {
			c.scan = 0 // the head is read again with its body
			return p, true
		}
		body := o.answer(p[n:whole])
		answer := http1.Response{Status: 200, KeepAlive: o.head.KeepAlive, ContentType: "application/json", Body: body}
		switch {
		case o.head.Method == http1.MethodGet:
			answer.ContentType, answer.Body = "text/plain", []byte("ok\n") // a health check
		case len(body) == 0:
			answer.Status = 202
		default:
			answer.Fields = sessionField
		}
		o.out = http1.AppendResponse(o.out, answer)
		p = p[whole:]
	}
	return nil, true
}

var sessionField = []byte("Mcp-Session-Id: origin\r\n")

// answer returns the answer to a message, nothing for a notification. It is
// good until the next call.
func (o *origin) answer(message []byte) []byte {
	o.ids.Reset()
	o.ids.Feed(message)
	id := o.ids.ID()
	if id == nil {
		return nil
	}
	body := append(append(o.body[:0], `{"jsonrpc":"2.0","id":`...), id...)
	switch {
	case bytes.Contains(message, methodInitialize):
		body = append(body, `,"result":{"protocolVersion":"`+protocolVersion+`","capabilities":{"tools":{}},"serverInfo":{"name":"origin","title":"`...)
		body = append(append(body, o.name...), `","version":"1"}}}`...)
	case bytes.Contains(message, methodPing):
		body = append(body, `,"result":{}}`...)
	default:
		text := []byte(o.name)
		if _, after, found := bytes.Cut(message, memberMessage); found {
			text, _, _ = bytes.Cut(after, quote)
		}
		body = append(body, `,"result":{"content":[{"type":"text","text":"`...)
		body = append(append(body, text...), `"}]}}`...)
	}
	o.body = body
	return body
}

var (
	methodInitialize = []byte(`"method":"initialize"`)
	methodPing       = []byte(`"method":"ping"`)
	memberMessage    = []byte(`"message":"`)
)
