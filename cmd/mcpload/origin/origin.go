package origin

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
)

// Server describes a server. An empty address is not served.
type Server struct {
	Name  string // which whoami returns
	Lines string // host:port for raw TCP
	HTTP  string // host:port for POSTs
}

// Serve serves on one event loop until ctx is done.
func (s *Server) Serve(ctx context.Context) error {
	engine, err := reactor.Start(1, 0, reactor.Kernel())
	if err != nil {
		return fmt.Errorf("start the event loop: %w", err)
	}
	defer engine.Stop()
	o := &origin{name: s.Name, loop: engine.Loops()[0]}
	for _, l := range []*listener{{origin: o, address: s.Lines}, {origin: o, address: s.HTTP, http: true}} {
		if l.address == "" {
			continue
		}
		config := net.ListenConfig{}
		config.SetMultipathTCP(false)
		socket, err := config.Listen(ctx, "tcp", l.address)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		defer socket.Close()
		accepting, err := engine.Listen(socket.(*net.TCPListener), l)
		if err != nil {
			return err
		}
		defer accepting.Close()
	}
	<-ctx.Done()
	return nil
}

// listener accepts the clients of one address.
type listener struct {
	origin  *origin
	address string
	http    bool
}

// MayAccept implements reactor.AcceptHandler.
func (l *listener) MayAccept() bool { return true }

// AcceptFailed implements reactor.AcceptHandler; the engine tries again.
func (l *listener) AcceptFailed(unix.Errno) {}

// Accepted implements reactor.AcceptHandler.
func (l *listener) Accepted(loop *reactor.Loop, fd int, _ netip.AddrPort) {
	_, _ = loop.Adopt(fd, &conn{origin: l.origin, http: l.http}) // on failure the client sees a closed connection
}

// origin answers messages. It and its connections belong to one loop.
type origin struct {
	name string
	loop *reactor.Loop
	ids  mcp.IDScanner
	head http1.RequestHead
	out  []byte // the answers to what was read
	body []byte // the last answer
}

// conn is one client's connection.
type conn struct {
	origin  *origin
	http    bool
	pending reactor.PendingBuffer // an incomplete message
	scan    http1.Scan
}

// Ready implements reactor.Handler.
func (c *conn) Ready(socket *reactor.Conn) {
	scratch := c.origin.loop.Scratch()
	for !socket.Closed() && socket.Readable() {
		n, errno := socket.Read(scratch)
		if n <= 0 || errno != 0 {
			if errno != unix.EAGAIN {
				c.close(socket)
			}
			return
		}
		c.read(socket, scratch[:n])
	}
}

func (c *conn) close(socket *reactor.Conn) {
	c.origin.loop.Drop(&c.pending)
	socket.Close()
}

// read answers every complete message and keeps the rest.
func (c *conn) read(socket *reactor.Conn, p []byte) {
	loop := c.origin.loop
	before := c.pending.Len()
	if before > 0 {
		loop.Append(&c.pending, p)
		p = c.pending.Bytes()
	}
	c.origin.out = c.origin.out[:0]
	answer := c.origin.answerLines
	if c.http {
		answer = c.answerRequests
	}
	rest, ok := answer(p)
	switch {
	case !ok || len(rest) > maxMessage:
		c.close(socket)
		return
	case before > 0:
		loop.Consume(&c.pending, len(p)-len(rest))
	default:
		loop.Append(&c.pending, rest)
	}
	if len(c.origin.out) > 0 && socket.Send(c.origin.out) != 0 {
		c.close(socket)
	}
}

// The limits of what the server accepts, in bytes.
const (
	maxMessage = 16 << 20
	maxHead    = 32 << 10
)

// answerLines answers the complete lines of p and returns the bytes after them.
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

// answerRequests answers the complete requests of p and returns the bytes after
// them. It returns false for what it does not accept.
func (c *conn) answerRequests(p []byte) (rest []byte, ok bool) {
	o := c.origin
	for len(p) > 0 {
		n, reason := o.head.Parse(p, &c.scan, maxHead)
		if reason != http1.ReasonNone || o.head.Framing == http1.FramingChunked {
			return nil, false
		}
		size := n + int(o.head.Length)
		if n == 0 || len(p) < size {
			c.scan = 0 // the head is parsed again with its body
			return p, true
		}
		body := o.answer(p[n:size])
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
		p = p[size:]
	}
	return nil, true
}

// answer returns the answer to a message, nothing for a notification. It is valid
// until the next call.
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
		body = append(body, `,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"origin","title":"`...)
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
	newline          = []byte("\n")
	quote            = []byte(`"`)
	methodInitialize = []byte(`"method":"initialize"`)
	methodPing       = []byte(`"method":"ping"`)
	memberMessage    = []byte(`"message":"`)
	sessionField     = []byte("Mcp-Session-Id: origin\r\n")
)
