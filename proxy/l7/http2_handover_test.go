package l7

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
)

// moveHTTP2 hands the one connection of HTTP/2 over, as if to a new process, as soon as it
// can move.
func (b *fixture) moveHTTP2() {
	b.Helper()
	b.Eventually("the connection can move", b.tryMoveHTTP2)
}

// tryMoveHTTP2 is moveHTTP2 if it can move now.
func (b *fixture) tryMoveHTTP2() (moved bool) {
	b.Helper()
	old := b.multiplexer()
	b.On(old.worker.loop, func() {
		h, d, ok := old.Detach()
		if !ok {
			return
		}
		moved = true
		streams, source := b.claimAll(old)
		received := copyOf(b, &d)
		var encoded bytes.Buffer
		sent := new(MultiplexerHandover)
		if err := gob.NewEncoder(&encoded).Encode(h); err != nil {
			b.Error(err)
		}
		if err := gob.NewDecoder(&encoded).Decode(sent); err != nil || !sent.Valid() {
			b.Errorf("%v, or what it hands over is refused: %+v", err, sent)
		}
		for i := range received.Streams {
			received.Streams[i].Parked = sent.Streams[i].Exchange.ToServer
		}
		old.worker.loop.AddLoad(1)
		b.frontend.AdoptMultiplexer(old.worker.loop, sent, &received, source, streams)
		old.Gone(&d)
	})
	return moved
}

// multiplexer is the one connection of HTTP/2.
func (b *fixture) multiplexer() (m *multiplexer) {
	b.Helper()
	b.eachMultiplexer(func(one *multiplexer) { m = one })
	if m == nil {
		b.Fatal("there is no connection of HTTP/2")
	}
	return m
}

// claimAll takes what a connection and its streams hold.
func (b *fixture) claimAll(m *multiplexer) (streams []Claimed, source *ratelimit.Source) {
	m.EachStream(func(s session.Session) {
		slot, source := s.Holds()
		streams = append(streams, Claimed{source, *slot, b.pool})
		c := s.(*client)
		*slot = backend.Slot{}
		if c.forwarded != nil {
			c.Source = nil
		}
	})
	source, m.Source = m.Source, nil
	return streams, source
}

// copyOf returns detached connections with copies of their descriptors, as another process
// gets them.
func copyOf(b *fixture, d *session.Detached) session.Detached {
	copied := *d
	copied.Streams = slices.Clone(d.Streams)
	for _, one := range append([]*reactor.Detached{&copied.Client}, pointers(copied.Streams)...) {
		if one.FD < 0 {
			continue
		}
		var err error
		if one.FD, err = unix.FcntlInt(uintptr(one.FD), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			b.Error(err)
		}
	}
	return copied
}

func pointers[T any](all []T) (to []*T) {
	for i := range all {
		to = append(to, &all[i])
	}
	return to
}

// putBack takes the connection off its loop, and puts it on again, as if the other process
// had refused it.
func (b *fixture) putBack() {
	b.Helper()
	m := b.multiplexer()
	b.On(m.worker.loop, func() {
		h, d, ok := m.Detach()
		if !ok {
			b.Error("the connection cannot be detached")
			return
		}
		m.Back(h, &d)
	})
}

// data reads frames until the stream has n bytes of data.
func (p *peer) data(id uint32, n int) {
	p.Helper()
	for p.streams[id] == nil || p.streams[id].size < n {
		if failed := p.note(p.frame()); failed != "" {
			p.Fatal(failed)
		}
		if s := p.streams[id]; s != nil && s.end != "" && s.size < n {
			p.Fatalf("stream %d: %+v", id, s)
		}
	}
	if got := p.streams[id].size; got != n {
		p.Errorf("stream %d: %d bytes, want %d", id, got, n)
	}
}

// player is a server whose responses the test sends, piece by piece: those to a path come
// from its channel. /ws is a WebSocket that echoes.
type player struct {
	t    testing.TB
	of   map[string]chan string
	seen chan string // the requests
}

func servePlayer(t testing.TB, paths ...string) (*player, string) {
	s := &player{t: t, of: map[string]chan string{}, seen: make(chan string, 100)}
	for _, path := range paths {
		s.of[path] = make(chan string, 10)
	}
	return s, netServer(t, s.serve)
}

func (s *player) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.seen <- fmt.Sprint(r.URL.Path, " ", r.Header.Get("X-Common"), " ", string(body), " ", err)
	if r.URL.Path == "/ws" {
		s.echo(w, r)
		return
	}
	for _, name := range []string{"Content-Type", "Content-Length"} {
		if value := r.Header.Get("X-" + name); value != "" {
			w.Header().Set(name, value)
		}
	}
	s.play(w, r)
}

// play sends the pieces of a response.
func (s *player) play(w http.ResponseWriter, r *http.Request) {
	answer, found := s.of[r.URL.Path]
	for found {
		select {
		case piece, more := <-answer:
			if !more {
				return
			}
			_, _ = io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// echo accepts a WebSocket, and sends back what it gets.
func (s *player) echo(w http.ResponseWriter, r *http.Request) {
	c, from, err := w.(http.Hijacker).Hijack()
	if err != nil {
		s.t.Error(err)
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptKey(r.Header.Get("Sec-WebSocket-Key")))
	_, _ = io.Copy(c, from)
}

// wantSeen checks the next request that the server gets.
func (s *player) wantSeen(want string) {
	s.t.Helper()
	if got := <-s.seen; got != want {
		s.t.Errorf("the server got %q, want %q", got, want)
	}
}

// A connection moves with its streams, whatever each of them is doing, and back, and moves
// again: nothing is lost, and nothing comes twice.
func TestHandOverHTTP2(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(*fixture){
		"moves":      (*fixture).moveHTTP2,
		"stays":      (*fixture).putBack,
		"moves back": func(b *fixture) { b.moveHTTP2(); b.putBack(); b.moveHTTP2() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handOverStreams(t, move)
		})
	}
}

func handOverStreams(t *testing.T, move func(*fixture)) {
	s, address := servePlayer(t, "/events", "/sized", "/done", "/last", "/queued", "/next")
	b := start(t, []string{address}, overHTTP2, oneLoop, withMaxConn(4))
	p := b.peer(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	common := []string{"x-common", "in the table"}
	p.open(1, true, "GET", "/events", append(common, "x-content-type", "text/event-stream")...)
	s.of["/events"] <- ": 1234\n\n"
	p.data(1, 8)
	p.open(3, true, "GET", "/sized", append(common, "x-content-length", "30")...)
	s.of["/sized"] <- "0123456789-waits-for-"
	p.data(3, 10)
	p.open(5, true, "GET", "/done", append(common, "x-content-length", "22")...)
	s.of["/done"] <- "0123456789 is complete"
	close(s.of["/done"])
	p.data(5, 10)
	p.open(7, false, "CONNECT", "/ws", append([]string{":protocol", "websocket", "sec-websocket-version", "13"}, common...)...)
	const masked = "\x81\x82\x00\x00\x00\x00ho"
	p.check(p.WriteData(7, false, []byte(masked[:3]))) // within a frame of the WebSocket
	p.data(7, 3)
	p.open(9, true, "GET", "/last", common...)
	s.of["/last"] <- "la"
	p.data(9, 2)
	p.open(11, true, "GET", "/queued", common...)
	b.Eventually("the request waits for a slot", func() bool { return b.pool.Queued() == 1 })
	b.Eventually("the answer that is complete waits for its window alone", func() bool { return b.streamsInState("closing") == 1 })
	p.Say("\x00\x00\x08\x06\x00\x00\x00") // a PING of which a part has come

	move(b)
	p.Say("\x00\x00pingpong")
	p.pong("pingpong")
	s.of["/events"] <- ": 1\n\n"
	close(s.of["/events"])
	s.of["/sized"] <- "-a-window"
	close(s.of["/sized"])
	p.check(p.WriteData(7, false, []byte(masked[3:])))
	p.data(7, len(masked))
	for id := uint32(1); id < 12; id += 2 {
		p.check(p.WriteWindowUpdate(id, 1000))
	}
	s.of["/last"] <- "st"
	close(s.of["/last"])
	s.of["/queued"] <- "has a slot"
	close(s.of["/queued"])
	p.want(1, "200 13 END_STREAM")
	p.want(3, "200 30 END_STREAM")
	p.want(5, "200 22 END_STREAM")
	p.want(9, "200 4 END_STREAM")
	p.want(11, "200 10 END_STREAM")
	p.check(p.WriteData(7, true, nil))
	p.want(7, "200 8 END_STREAM")
	p.open(13, false, "POST", "/next", common...) // from the table
	p.check(p.WriteData(13, true, []byte("body")))
	close(s.of["/next"])
	p.want(13, "200 0 END_STREAM")
	for _, want := range []string{"/events", "/sized", "/done", "/ws", "/last", "/queued"} {
		s.wantSeen(want + " in the table  <nil>")
	}
	s.wantSeen("/next in the table body <nil>")
	b.Eventually("the streams are over", func() bool { return b.frontend.Totals().StreamsOpen == 0 })
	if totals := b.frontend.Totals(); totals.Streams != 7 || totals.Multiplexed != 1 || totals.Requests != 7 {
		t.Errorf("%d streams, %d connections, %d requests", totals.Streams, totals.Multiplexed, totals.Requests)
	}
	p.Finish()
}

// pong reads frames up to the answer to a PING.
func (p *peer) pong(data string) {
	p.Helper()
	for {
		f := p.frame()
		if ping, ok := f.(*http2.PingFrame); ok {
			if !ping.IsAck() || string(ping.Data[:]) != data {
				p.Errorf("%v %q", ping, ping.Data)
			}
			return
		}
		p.note(f)
	}
}

// streamsInState returns the number of streams in a state.
func (b *fixture) streamsInState(state string) (n int) {
	b.eachMultiplexer(func(m *multiplexer) {
		m.EachStream(func(s session.Session) {
			if s.Info().State == state {
				n++
			}
		})
	})
	return n
}

// Wherever the client is within a frame or a header block, it goes on with the next byte.
func TestHandOverHTTP2Within(t *testing.T) {
	t.Parallel()
	const step = 3
	for first := range step {
		t.Run(fmt.Sprint("byte ", first), func(t *testing.T) {
			t.Parallel()
			_, address := servePlayer(t)
			b := start(t, []string{address}, overHTTP2, oneLoop, withoutLog)
			p := b.peer()
			p.open(1, false, "CONNECT", "/ws", ":protocol", "websocket", "sec-websocket-version", "13")
			p.check(p.WriteData(1, false, []byte("\x81\x82\x00\x00\x00\x00")))
			p.data(1, 6)
			var text bytes.Buffer // a request in two frames, and data of the WebSocket with padding
			f := http2.NewFramer(&text, nil)
			block := p.encode("GET", "/nothing", "x-common", "in the table")
			p.check(f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block[:7], EndStream: true, PadLength: 5}))
			p.check(f.WriteContinuation(3, true, block[7:]))
			p.check(f.WriteDataPadded(1, false, []byte("hi"), make([]byte, 9)))
			for at := first; at < text.Len(); at += step {
				from := max(at-step, 0)
				p.Say(text.String()[from:at])
				b.moveHTTP2()
				if at+step >= text.Len() {
					p.Say(text.String()[at:])
				}
			}
			p.want(3, "200 0 END_STREAM")
			p.data(1, 8)
			p.check(p.WriteRSTStream(1, http2.ErrCodeCancel))
			b.Eventually("the streams are over", func() bool { return b.frontend.Totals().StreamsOpen == 0 })
			p.Finish()
		})
	}
}

// A request that is not answered yet keeps its connection where it is. Those that come
// meanwhile wait for it, but not for long; the connection moves when its response begins.
func TestHandOverHTTP2Waits(t *testing.T) {
	t.Parallel()
	s, address := servePlayer(t, "/long", "/short", "/late")
	b := start(t, []string{address}, overHTTP2, oneLoop, withStoppedTime)
	p := b.peer()
	p.open(1, true, "GET", "/long")
	s.wantSeen("/long   <nil>")
	wantStays := func(lingers bool) {
		t.Helper()
		m := b.multiplexer()
		if b.tryMoveHTTP2() {
			t.Error("a connection has moved although a response has not begun")
		}
		b.On(m.worker.loop, func() {
			if got := session.Lingers(m.Conn); got != lingers {
				t.Errorf("the connection lingers: %t", got)
			}
		})
	}
	wantStays(false)
	p.open(3, true, "GET", "/short")
	p.ping()
	if len(s.seen) > 0 {
		t.Error("a request has not waited")
	}
	b.Advance(time.Duration(gatherTime))
	s.wantSeen("/short   <nil>") // it has waited enough
	close(s.of["/short"])
	p.want(3, "200 0 END_STREAM")
	wantStays(true)
	p.open(5, true, "GET", "/nothing")
	s.wantSeen("/nothing   <nil>") // not again so soon
	p.want(5, "200 0 END_STREAM")
	b.Advance(time.Duration(leastPause))
	wantStays(false)
	p.open(7, true, "GET", "/late")
	p.open(9, true, "GET", "/nothing")
	p.ping()
	p.check(p.WriteRSTStream(9, http2.ErrCodeCancel))
	s.of["/long"] <- "begins"
	p.data(1, 6)
	b.moveHTTP2()
	s.wantSeen("/late   <nil>") // it begins in the new process
	close(s.of["/late"])
	close(s.of["/long"])
	p.want(7, "200 0 END_STREAM")
	p.want(1, "200 6 END_STREAM")
	p.Finish()
}

// A connection that cannot move for long gets GOAWAY, so that the client's next requests go to
// the new process. What is open goes on, and moves when it can.
func TestHandOverHTTP2Never(t *testing.T) {
	t.Parallel()
	s, address := servePlayer(t, "/long")
	b := start(t, []string{address}, overHTTP2, oneLoop, withStoppedTime)
	p := b.peer()
	p.open(1, true, "GET", "/long")
	s.wantSeen("/long   <nil>")
	times := 0
	for m := b.multiplexer(); m.Info().State == "serving"; times++ {
		if times > 10 || b.tryMoveHTTP2() {
			t.Fatalf("the connection is %s, %d times in vain", m.Info().State, times)
		}
		b.Advance(time.Duration(gatherTime + mostPause))
	}
	if times != 6 {
		t.Errorf("GOAWAY came after %d times", times)
	}
	if f, ok := p.frame().(*http2.GoAwayFrame); !ok || f.ErrCode != http2.ErrCodeNo || f.LastStreamID != 1 {
		t.Errorf("%v, want GOAWAY", f)
	}
	s.of["/long"] <- "begins"
	p.data(1, 6)
	b.moveHTTP2()
	close(s.of["/long"])
	p.want(1, "200 6 END_STREAM")
	if _, err := p.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
	p.Finish()
}

// ping sends a PING and waits for its answer: what was sent before has been read.
func (p *peer) ping() {
	p.Helper()
	p.check(p.WritePing(false, [8]byte{'p', 'i', 'n', 'g', 'p', 'i', 'n', 'g'}))
	p.pong("pingping")
}

// metered limits clients, but to more than they send.
func metered(s *setup) { s.Limits.MessageRate, s.Limits.MessageBurst = 1000, 1000 }

// The client whom a proxy has named for a request is that of its stream after a hand-over:
// the one who is limited, logged, and gets his place back at the end.
func TestHandOverHTTP2Proxied(t *testing.T) {
	t.Parallel()
	s, address := servePlayer(t, "/a", "/b")
	b := start(t, []string{address}, overHTTP2, oneLoop, trusting, metered)
	p := b.peer()
	p.open(1, true, "GET", "/a", "x-forwarded-for", "192.0.2.1")
	p.open(3, true, "GET", "/b", "x-forwarded-for", "192.0.2.2")
	s.of["/a"] <- "a"
	s.of["/b"] <- "b"
	p.data(1, 1)
	p.data(3, 1)
	b.moveHTTP2()
	var seen []string
	b.Each(func(conn *reactor.Conn) {
		session.Each(conn, func(s session.Session) {
			_, source := s.Holds()
			seen = append(seen, fmt.Sprint(s.Info().Client.Addr(), source != nil))
		})
	})
	if want := []string{"192.0.2.1 true", "192.0.2.2 true", "127.0.0.1 false"}; !slices.Equal(seen, want) {
		t.Errorf("%q, want %q", seen, want)
	}
	close(s.of["/a"])
	close(s.of["/b"])
	p.want(1, "200 1 END_STREAM")
	p.want(3, "200 1 END_STREAM")
	p.Finish()
}

// A client's own connection holds one place at the limiter, however many streams it has.
func TestHTTP2HoldsOneSource(t *testing.T) {
	t.Parallel()
	s, address := servePlayer(t, "/a", "/b")
	b := start(t, []string{address}, overHTTP2, metered)
	p := b.peer()
	p.open(1, true, "GET", "/a")
	p.open(3, true, "GET", "/b")
	<-s.seen
	<-s.seen
	sources := 0
	b.Each(func(conn *reactor.Conn) {
		session.Each(conn, func(s session.Session) {
			if _, source := s.Holds(); source != nil {
				sources++
			}
		})
	})
	if sources != 1 {
		t.Errorf("%d sources are held", sources)
	}
	close(s.of["/a"])
	close(s.of["/b"])
	p.want(1, "200 0 END_STREAM")
	p.want(3, "200 0 END_STREAM")
	p.Finish()
}

// What no connection can be is refused: the other process may be faulty, or of another build.
func TestInvalidHandOverHTTP2(t *testing.T) {
	t.Parallel()
	s, address := servePlayer(t, "/a")
	b := start(t, []string{address}, overHTTP2, oneLoop)
	p := b.peer()
	p.open(1, true, "GET", "/a")
	s.of["/a"] <- "a"
	p.data(1, 1)
	m := b.multiplexer()
	b.On(m.worker.loop, func() {
		for name, spoil := range map[string]func(*MultiplexerHandover){
			"":                          func(*MultiplexerHandover) {},
			"it is closing":             func(h *MultiplexerHandover) { h.State = muxClosing },
			"the protocol's state":      func(h *MultiplexerHandover) { h.HTTP2.Table.Max = 1 << 30 },
			"a stream is missing":       func(h *MultiplexerHandover) { h.Streams = nil },
			"it is another stream":      func(h *MultiplexerHandover) { h.Streams[0].ID = 3 },
			"it is nowhere":             func(h *MultiplexerHandover) { h.Streams[0].At = nowhere },
			"it has no connection":      func(h *MultiplexerHandover) { h.Streams[0].At = AtHeader },
			"it has a relay":            func(h *MultiplexerHandover) { h.Streams[0].Tunnel = &TunnelHandover{} },
			"it has frames":             func(h *MultiplexerHandover) { h.Streams[0].Frames = &StreamTunnelHandover{} },
			"it has no frames":          func(h *MultiplexerHandover) { h.Streams[0].At = AtTunnel },
			"it owes less than nothing": func(h *MultiplexerHandover) { h.Streams[0].Unpaid = -1 },
			"an endpoint that is not":   func(h *MultiplexerHandover) { h.Streams[0].Exchange.Endpoint = 9 },
		} {
			h, d, ok := m.Detach()
			if !ok {
				t.Error("it cannot be detached")
				return
			}
			good := *h
			good.Streams = slices.Clone(h.Streams)
			if spoil(h); h.Valid() != (name == "") {
				t.Errorf("%s: valid is %t", name, h.Valid())
			}
			m.Back(&good, &d)
		}
	})
	close(s.of["/a"])
	p.want(1, "200 1 END_STREAM")
	p.Finish()
}
