package http2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"golang.org/x/net/http2"
)

// trace is what a caller sees of a connection: what the client did, and what is sent.
type trace struct {
	events bytes.Buffer
	conn   *Conn
	shared *Shared
	out    []byte
	bodies map[uint32]int // of requests that have not ended
}

// feed passes on bytes in pieces that cut returns, and answers what comes. move is called
// between them.
func (r *trace) feed(p []byte, cut func(n int) int, move func()) {
	var kept []byte
	for len(p) > 0 {
		n := cut(len(p))
		kept = append(kept, p[:n]...)
		p = p[n:]
		for {
			e, n := r.conn.Next(kept, 0, &r.out)
			kept = kept[n:]
			if e.Kind == EventNone {
				break
			}
			if r.note(e); e.Kind == EventFailed {
				return
			}
		}
		move()
	}
}

// note writes an event down, and reacts to it as a caller does.
func (r *trace) note(e Event) {
	switch e.Kind {
	case EventData:
		r.bodies[e.ID] += len(e.Data)
		if r.out = r.conn.Credit(r.out, e.Stream, len(e.Data)); !e.End {
			return
		}
		fmt.Fprintf(&r.events, "body of %d: %d\n", e.ID, r.bodies[e.ID])
	default:
		fmt.Fprintf(&r.events, "%d %d %v %v %v %q\n", e.Kind, e.ID, e.Reason, e.Code, e.End, e.Head)
	}
	if s := e.Stream; s != nil && e.End {
		r.out = r.conn.AppendResponse(r.out, s, []byte("HTTP/1.1 200 OK\r\nServer: x\r\nX-Id: "+fmt.Sprint(e.ID)+"\r\n\r\n"), true)
		r.out = r.conn.Release(r.out, s)
	}
}

// newTrace starts a connection.
func newTrace() *trace {
	r := &trace{conn: new(Conn), shared: new(Shared), bodies: map[uint32]int{}}
	r.out = r.conn.Start(r.shared, &testSettings, nil)
	return r
}

// move continues the connection as another process would.
func (r *trace) move() {
	if r.conn.state == connFailed {
		return // it ends in the process that it is in
	}
	state := r.conn.State()
	if !state.Valid() {
		panic(fmt.Sprintf("a state is refused: %+v", state))
	}
	r.conn, r.shared = new(Conn), new(Shared)
	r.conn.Restore(r.shared, &testSettings, &state)
}

// conversation is what an ordinary client sends.
func conversation(t testing.TB, r *rand.Rand) []byte {
	p := rawPeer(t)
	p.in.WriteString(Preface)
	p.framer.WriteSettings()
	p.framer.WriteSettingsAck()
	for i := range uint32(20) {
		id := 2*i + 1
		fields := append(append([]string{}, post...), "x-n", fmt.Sprint(r.IntN(5)), "user-agent", "u", "x-big", string(bytes.Repeat([]byte("b"), r.IntN(900))))
		block := bytes.Clone(p.encode(fields...))
		split := r.IntN(len(block))
		p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:split]})
		p.framer.WriteContinuation(id, true, block[split:])
		for range r.IntN(4) {
			p.framer.WriteDataPadded(id, false, zeros(r.IntN(3000)), zeros(r.IntN(256)))
		}
		switch r.IntN(4) {
		case 0:
			p.headers(id, true, "x-trailer", "t")
		case 1:
			p.framer.WriteRSTStream(id, 8)
		case 2:
			p.framer.WritePing(false, [8]byte{1})
			fallthrough
		default:
			p.framer.WriteData(id, true, zeros(r.IntN(10)))
		}
	}
	return p.in.Bytes()
}

// An upgrade in the midst of anything changes nothing for the client: neither what is read of
// it nor what it is sent, but for the encoder's table, which starts empty.
func TestRestore(t *testing.T) {
	t.Parallel()
	seeds := uint64(30)
	if testing.Short() {
		seeds = 6
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 7))
		p := conversation(t, r)
		whole, moved := newTrace(), newTrace()
		whole.feed(p, func(n int) int { return n }, func() {})
		moved.feed(p, func(n int) int { return min(n, 1+r.IntN(200)) }, moved.move)
		if whole.events.String() != moved.events.String() {
			t.Fatalf("seed %d:\n%s\nwithout an upgrade:\n%s", seed, moved.events.String(), whole.events.String())
		}
		want, got := responses(t, whole.out), responses(t, moved.out)
		if want != got {
			t.Fatalf("seed %d: the client reads\n%s\nwithout an upgrade:\n%s", seed, got, want)
		}
	}
}

// responses are the heads that a client reads.
func responses(t *testing.T, out []byte) string {
	t.Helper()
	frames := readFrames(out)
	var b bytes.Buffer
	for {
		f, err := frames.ReadFrame()
		if err != nil {
			if b.Len() == 0 {
				t.Errorf("no head: %v", err)
			}
			return b.String()
		}
		if meta, ok := f.(*http2.MetaHeadersFrame); ok {
			fmt.Fprintln(&b, meta.StreamID, meta.Fields)
		}
	}
}

// A connection at rest fits in memory, and a request on it allocates nothing.
func TestRest(t *testing.T) {
	p := newPeer(t)
	fields := append(append([]string{}, post...), "user-agent", "node", "accept", "application/json, text/event-stream", "content-type", "application/json",
		"mcp-session-id", "0123456789abcdef0123456789abcdef", "mcp-protocol-version", "2025-06-18", "authorization", "Bearer 0123456789abcdef0123456789abcdef", "content-length", "5")
	id := uint32(1)
	head := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nDate: Sun, 29 Nov 2026 19:00:00 GMT\r\nMcp-Session-Id: 0123\r\n\r\n")
	keep := p.open(id, true, get...).Stream // the connection is not idle in between
	request := func() {
		id += 2
		p.in.Reset()
		p.headers(id, false, fields...)
		p.framer.WriteData(id, true, zeros(5))
	}
	var got int
	respond := func() {
		in := p.in.Bytes()
		for {
			e, n := p.conn.Next(in, 0, &p.out)
			in = in[n:]
			if e.Kind == EventNone {
				break
			}
			p.out = p.out[:0]
			if e.Kind == EventData && e.End {
				got++
				p.out = p.conn.Credit(p.out, e.Stream, len(e.Data))
				p.out = p.conn.AppendResponse(p.out, e.Stream, head, false)
				p.out, _ = p.conn.AppendData(p.out, e.Stream, []byte("{}"), true)
				p.out = p.conn.Release(p.out, e.Stream)
			}
		}
	}
	for range 10 {
		request()
		respond()
	}
	const rounds = 100
	total := 0.0
	for range rounds {
		request()
		first := true
		total += testing.AllocsPerRun(1, func() {
			if first { // it runs twice
				respond()
			}
			first = false
		})
	}
	if got != rounds+10 {
		t.Fatalf("%d requests read", got)
	}
	if total > 0 {
		t.Errorf("%v allocations by %d requests", total, rounds)
	}
	p.out = p.conn.Release(p.out, keep)
	c := &p.conn
	size := int(unsafe.Sizeof(*c)) + cap(c.decoder.table.bytes) + cap(c.decoder.table.entries)*int(unsafe.Sizeof(entry{})) + cap(c.streams)*8 + cap(c.block.bytes)
	if size > 1700 || c.encoder.hpack != nil {
		t.Errorf("an idle connection holds %d bytes, encoder %v", size, c.encoder.hpack != nil)
	}
	t.Logf("an idle connection holds %d bytes, %d of them itself", size, unsafe.Sizeof(*c))
}

// FuzzConn sends a connection anything, at once and in pieces with an upgrade between them:
// nothing panics, and both see the same.
func FuzzConn(f *testing.F) {
	f.Add(conversation(f, rand.New(rand.NewPCG(1, 1)))[len(Preface):], uint64(1))
	p := rawPeer(f)
	p.states0()
	f.Add(bytes.Clone(p.in.Bytes()), uint64(2))
	for _, c := range [][]byte{setting(settingInitialWindowSize, 5), increment(1, 7), frame(FrameHeaders, FlagEndHeaders|FlagPriority, 9, 0, 0, 0, 9, 0, 0x82), frame(FrameData, FlagPadded, 1, 3, 0, 0, 0, 0)} {
		f.Add(append(frame(FrameSettings, 0, 0), c...), uint64(3))
	}
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) {
		p = append([]byte(Preface), p...)
		r := rand.New(rand.NewPCG(seed, 0))
		whole, moved := newTrace(), newTrace()
		whole.feed(p, func(n int) int { return n }, func() {})
		moved.feed(p, func(n int) int { return min(n, 1+r.IntN(64)) }, moved.move)
		if whole.events.String() != moved.events.String() {
			t.Errorf("in pieces:\n%s\nat once:\n%s", moved.events.String(), whole.events.String())
		}
		for _, c := range []*Conn{whole.conn, moved.conn} {
			grown := int32(0)
			for _, s := range c.streams {
				grown += s.granted - testSettings.StreamWindow
			}
			if c.window.grown != grown || grown > testSettings.ConnWindow/2 {
				t.Errorf("windows have grown by %d, want %d, and half of the connection's at most", grown, c.window.grown)
			}
			if c.window.left < 0 || c.window.owed < 0 || len(c.streams) > int(testSettings.MaxStreams) || c.decoder.table.size > tableLimit {
				t.Errorf("window %d, owed %d, %d streams, table %d", c.window.left, c.window.owed, len(c.streams), c.decoder.table.size)
			}
		}
	})
}

// states0 writes what opens and ends streams.
func (p *peer) states0() {
	p.framer.WriteSettings()
	p.headers(1, false, post...)
	p.headers(3, true, get...)
	p.framer.WriteRSTStream(3, 0)
	p.framer.WriteData(1, true, zeros(10))
}
