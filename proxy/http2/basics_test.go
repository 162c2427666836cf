package http2

import (
	"bytes"
	"testing"

	"mcplb/proxy/http1"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is a client of a Conn: what it writes goes to in, what it is sent comes from out.
type peer struct {
	t      testing.TB
	conn   Conn
	shared Shared
	in     bytes.Buffer // what the client has written and Next has not read
	out    []byte       // what it is sent
	framer *http2.Framer
	sent   *http2.Framer // reads out
	enc    *hpack.Encoder
	block  bytes.Buffer
	now    int64
}

var testSettings = Settings{
	MaxStreams: 100, StreamWindow: 16384, MaxStreamWindow: 65536, ConnWindow: 8 * 65536,
	MaxHead: 16 << 10, ExtendedConnect: true,
}

// newPeer starts a connection; the client has sent preface and SETTINGS.
func newPeer(t testing.TB) *peer {
	p := rawPeer(t)
	p.in.WriteString(Preface)
	p.framer.WriteSettings()
	p.framer.WriteSettingsAck()
	p.none()
	return p
}

// rawPeer starts a connection on which nothing has come.
func rawPeer(t testing.TB) *peer {
	p := &peer{t: t}
	settings := testSettings
	p.out = p.conn.Start(&p.shared, &settings, nil)
	p.framer = http2.NewFramer(&p.in, &p.in)
	p.framer.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.block)
	return p
}

// next returns the next event of what the client has written.
func (p *peer) next() Event {
	e, n := p.conn.Next(p.in.Bytes(), p.now, &p.out)
	p.in.Next(n)
	return e
}

// none lets the connection read what needs no event.
func (p *peer) none() {
	p.t.Helper()
	if e := p.next(); e.Kind != EventNone {
		p.t.Fatalf("event %d (%v, %v), want none", e.Kind, e.Code, e.Reason)
	}
}

// encode returns a header block of names and values.
func (p *peer) encode(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return p.block.Bytes()
}

// headers writes HEADERS.
func (p *peer) headers(id uint32, end bool, fields ...string) {
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(fields...), EndStream: end, EndHeaders: true})
}

var get = []string{":method", "GET", ":scheme", "https", ":path", "/mcp", ":authority", "example.com"}
var post = []string{":method", "POST", ":scheme", "https", ":path", "/mcp", ":authority", "example.com"}

// open sends a request and returns its stream.
func (p *peer) open(id uint32, end bool, fields ...string) Event {
	p.t.Helper()
	p.headers(id, end, fields...)
	e := p.next()
	if e.Kind != EventRequest || e.ID != id {
		p.t.Fatalf("event %d (%v, %v) of %d, want the request %d", e.Kind, e.Code, e.Reason, e.ID, id)
	}
	return e
}

// A request of HTTP/2 is what everything else of the balancer takes for one of HTTP/1.1.
func TestRequest(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	e := p.open(1, true, append(get, "cookie", "a=1", "user-agent", "x", "cookie", "b=2", "te", "trailers")...)
	const want = "GET /mcp HTTP/1.1\r\nhost: example.com\r\nuser-agent: x\r\nte: trailers\r\ncookie: a=1; b=2\r\n\r\n"
	if string(e.Head) != want || !e.End {
		t.Errorf("head %q, end %v, want %q", e.Head, e.End, want)
	}
	var head http1.RequestHead
	if n, why := head.Parse(e.Head, new(http1.Scan), 16<<10); n != len(e.Head) || why != http1.ReasonNone {
		t.Errorf("http1 reads %d bytes of %d: %v", n, len(e.Head), why)
	}
	p.out = p.conn.AppendResponse(nil, e.Stream, []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nServer: x\r\n\r\n"), false)
	var n int
	p.out, n = p.conn.AppendData(p.out, e.Stream, []byte("hello"), true)
	if n != 5 || !e.Stream.Closed() {
		t.Fatalf("%d of 5 bytes sent, closed: %v", n, e.Stream.Closed())
	}
	frames := http2.NewFramer(nil, bytes.NewReader(p.out))
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f, err := frames.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	meta := f.(*http2.MetaHeadersFrame)
	if got := meta.Fields; len(got) != 3 || got[0].Value != "200" || got[1].Name != "content-length" || got[2].Name != "server" {
		t.Errorf("response %v", got)
	}
	if f, err = frames.ReadFrame(); err != nil || string(f.(*http2.DataFrame).Data()) != "hello" || !f.(*http2.DataFrame).StreamEnded() {
		t.Errorf("%v, %v, want hello and the end", f, err)
	}
	p.out = p.conn.Release(nil, e.Stream)
	if len(p.out) > 0 || len(p.conn.Streams()) > 0 {
		t.Errorf("%q sent, %d streams left", p.out, len(p.conn.Streams()))
	}
}

// A body comes in pieces as it comes, and credit goes back.
func TestBody(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	e := p.open(1, false, post...)
	if !bytes.Contains(e.Head, []byte("Transfer-Encoding: chunked\r\n")) {
		t.Errorf("head %q", e.Head)
	}
	p.framer.WriteDataPadded(1, false, bytes.Repeat([]byte("x"), 8000), make([]byte, 200))
	p.framer.WriteData(1, true, nil)
	whole := bytes.Clone(p.in.Bytes())
	got, ends := 0, 0
	var kept []byte
	for _, b := range whole {
		kept = append(kept, b)
		for {
			e, n := p.conn.Next(kept, 0, &p.out)
			kept = kept[n:]
			if e.Kind == EventNone {
				break
			}
			if e.Kind != EventData {
				t.Fatalf("event %d, %v", e.Kind, e.Reason)
			}
			got += len(e.Data)
			if e.End {
				ends++
			}
			p.out = p.conn.Credit(p.out, e.Stream, len(e.Data))
		}
	}
	if got != 8000 || ends != 1 {
		t.Errorf("%d bytes, %d ends, want 8000 and 1", got, ends)
	}
}

// readFrames reads what a client is sent.
func readFrames(out []byte) *http2.Framer {
	frames := http2.NewFramer(nil, bytes.NewReader(out))
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return frames
}
