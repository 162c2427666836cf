package l7

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/proxy/websocket"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// overHTTP2 takes HTTP/2 by prior knowledge.
func overHTTP2(s *setup) { s.frontend.HTTP2 = true }

// netServer starts a server that any client of net/http understands.
func netServer(t testing.TB, handler http.HandlerFunc) (address string) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// http2Client returns a client of net/http that speaks HTTP/2 by prior knowledge, and
// uses one connection.
func (b *fixture) http2Client() *http.Client {
	transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, b.Address)
	}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * endpoint.Patience}
}

// ask sends a request with the method over HTTP/2, and returns the response and its body.
func (b *fixture) ask(c *http.Client, method, path, body string) (*http.Response, string) {
	b.Helper()
	request, _ := http.NewRequest(method, "http://"+b.Address+path, strings.NewReader(body))
	if body == "" {
		request.Body = nil
	}
	response, err := c.Do(request)
	if err != nil {
		b.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatalf("%s %s: the body: %v", method, path, err)
	}
	return response, string(got)
}

// What a client of HTTP/2 sends and gets is what one of HTTP/1.1 would.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("0123456789abcdef", 20<<10)
	b := start(t, []string{netServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Got", fmt.Sprintf("%s %s %s %d %v %s %s", r.Method, r.URL, r.Host, len(body), r.TransferEncoding, r.Trailer.Get("X-Sum"), r.Header.Get("X-Forwarded-Proto")))
		switch r.URL.Path {
		case "/large":
			_, _ = io.WriteString(w, large)
		case "/sized":
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "sized")
		case "/trailers":
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "pieces")
			w.Header().Set("X-Sum", "42")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/hints":
			w.Header().Set("Link", "</x>")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
		}
	})}, overHTTP2)
	c := b.http2Client()
	host := b.Address
	for _, one := range []struct{ method, path, body, got, want string }{
		{"GET", "/sized?q=1", "", "GET /sized?q=1 " + host + " 0 []  http", "sized"},
		{"GET", "/large", "", "GET /large " + host + " 0 []  http", large},
		{"POST", "/trailers", "body", "POST /trailers " + host + " 4 []  http", "pieces"},
		{"DELETE", "/none", "", "DELETE /none " + host + " 0 []  http", ""},
		{"HEAD", "/sized", "", "HEAD /sized " + host + " 0 []  http", ""},
		{"POST", "/sized", large, fmt.Sprintf("POST /sized %s %d []  http", host, len(large)), "sized"},
	} {
		response, body := b.ask(c, one.method, one.path, one.body)
		if response.ProtoMajor != 2 || response.Header.Get("X-Got") != one.got || body != one.want {
			t.Errorf("%s %s: %s, the server got %q, the client %.100q, want %q and %.100q", one.method, one.path, response.Proto, response.Header.Get("X-Got"), body, one.got, one.want)
		}
		if one.path == "/trailers" && response.Trailer.Get("X-Sum") != "42" {
			t.Errorf("trailers %v", response.Trailer)
		}
	}
	if totals := b.frontend.Totals(); totals.Multiplexed != 1 || totals.Streams != 6 || totals.Requests != 6 {
		t.Errorf("%d connections, %d streams, %d requests, want 1, 6 and 6", totals.Multiplexed, totals.Streams, totals.Requests)
	}

	t.Run("a body of unknown length with trailers", func(t *testing.T) {
		request, _ := http.NewRequest("POST", "http://"+host+"/sized", io.MultiReader(strings.NewReader("one"), strings.NewReader("two")))
		request.Trailer = http.Header{"X-Sum": {"7"}}
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got, want := response.Header.Get("X-Got"), "POST /sized "+host+" 6 [chunked] 7 http"; got != want {
			t.Errorf("the server got %q, want %q", got, want)
		}
	})
	t.Run("interim answers", func(t *testing.T) {
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link")))
			return nil
		}}
		request, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", "http://"+host+"/hints", nil)
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if !slices.Equal(hints, []string{"103</x>"}) {
			t.Errorf("interim answers %q", hints)
		}
	})
}

// peer is a client of HTTP/2 that does what the test wants, frame by frame.
type peer struct {
	*endpoint.Conn
	*http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	streams map[uint32]*told
}

// peer connects, and exchanges SETTINGS.
func (b *fixture) peer(settings ...http2.Setting) *peer {
	b.Helper()
	p := &peer{Conn: endpoint.Dial(b, b.Address), streams: map[uint32]*told{}}
	p.Framer = http2.NewFramer(p.TCPConn, p.Reader)
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.encoder = hpack.NewEncoder(&p.block)
	p.Say(http2.ClientPreface)
	p.check(p.WriteSettings(settings...))
	for acknowledged := false; !acknowledged; {
		if f, ok := p.frame().(*http2.SettingsFrame); ok {
			if acknowledged = f.IsAck(); !acknowledged {
				p.check(p.WriteSettingsAck())
			}
		}
	}
	return p
}

func (p *peer) check(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// frame receives a frame.
func (p *peer) frame() http2.Frame {
	p.Helper()
	f, err := p.ReadFrame()
	if err != nil {
		p.Fatalf("receiving a frame: %v", err)
	}
	return f
}

// open opens a stream with a request; fields are names and values.
func (p *peer) open(id uint32, end bool, method, path string, fields ...string) {
	p.Helper()
	p.check(p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(method, path, fields...), EndStream: end, EndHeaders: true}))
}

// encode returns the header block of a request, until the next is made; fields are names and
// values.
func (p *peer) encode(method, path string, fields ...string) []byte {
	p.Helper()
	p.block.Reset()
	fields = append([]string{":method", method, ":scheme", "http", ":path", path, ":authority", "h"}, fields...)
	for i := 0; i < len(fields); i += 2 {
		p.check(p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	return p.block.Bytes()
}

// told is what a stream's frames have said so far.
type told struct {
	status string
	size   int
	end    string
	body   string
	fields http.Header // of the heads, and trailers
}

// outcome reads frames up to the end of a stream, and describes those of it.
func (p *peer) outcome(id uint32) string {
	p.Helper()
	for p.streams[id] == nil || p.streams[id].end == "" {
		if failed := p.note(p.frame()); failed != "" {
			return failed
		}
	}
	s := p.streams[id]
	return fmt.Sprintf("%s %d %s", s.status, s.size, s.end)
}

// note notes what a frame says of its stream; it returns the error of a GOAWAY.
func (p *peer) note(f http2.Frame) (failed string) {
	s := p.streams[f.Header().StreamID]
	if s == nil {
		s = &told{fields: http.Header{}}
		p.streams[f.Header().StreamID] = s
	}
	if f.Header().Flags.Has(http2.FlagDataEndStream) { // HEADERS have the same
		s.end = "END_STREAM"
	}
	switch f := f.(type) {
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo {
			return "GOAWAY " + f.ErrCode.String()
		}
	case *http2.MetaHeadersFrame:
		s.status += f.PseudoValue("status")
		for _, field := range f.RegularFields() {
			s.fields.Add(field.Name, field.Value)
		}
	case *http2.DataFrame:
		s.size += len(f.Data())
		s.body += string(f.Data())
	case *http2.RSTStreamFrame:
		if s.end == "" {
			s.end = f.ErrCode.String()
		}
	}
	return ""
}

func (p *peer) want(id uint32, outcome string) {
	p.Helper()
	if got := p.outcome(id); got != outcome {
		p.Errorf("stream %d: %s, want %s", id, got, outcome)
	}
}

// An answer that is cut never looks complete, and a server that dies before it does not make
// clients repeat the request.
func TestHTTP2Cuts(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, overHTTP2, withRetries(0))
	for name, c := range map[string]struct{ answer, outcome string }{
		"within a length":           {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "200 3 INTERNAL_ERROR"},
		"within a chunk":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "200 2 INTERNAL_ERROR"},
		"between chunks":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "200 2 INTERNAL_ERROR"},
		"before the head":           {"", "502 50 END_STREAM"},
		"the end of the connection": {"HTTP/1.1 200 OK\r\n\r\nabc", "200 3 END_STREAM"},
	} {
		p := b.peer()
		p.open(1, true, "POST", "/")
		server := s.next()
		_, _ = server.request()
		server.Say(c.answer)
		server.Finish()
		if got := p.outcome(1); got != c.outcome {
			t.Errorf("%s: %s, want %s", name, got, c.outcome)
		}
		p.Finish()
	}
}

// RST_STREAM is how a client cancels: the server knows at once, a request in the queue leaves it,
// and other streams go on.
func TestHTTP2Cancel(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, overHTTP2, withMaxConn(1))
	p := b.peer()
	p.open(1, true, "GET", "/served")
	server := s.next()
	server.request()
	p.open(3, true, "GET", "/queued")
	b.Eventually("a request is queued", func() bool { return b.pool.Queued() == 1 })
	p.check(p.WriteRSTStream(3, http2.ErrCodeCancel))
	b.Eventually("it has left the queue", func() bool { return b.pool.Queued() == 0 })
	p.check(p.WriteRSTStream(1, http2.ErrCodeCancel))
	server.HearReset()
	p.open(5, true, "GET", "/next")
	server = s.next()
	server.request()
	server.answer("ok")
	p.want(5, "200 2 END_STREAM")
	p.open(7, true, "GET", "/never")
	p.check(p.WriteRSTStream(7, http2.ErrCodeCancel))
	p.Finish()
}

// Ten uploads that a server takes nothing of, or nothing more when their windows have grown,
// block neither each other nor other requests on their connection, and cost no more than
// http2_buffer says.
func TestHTTP2StalledUploads(t *testing.T) {
	t.Parallel()
	const uploads = 10
	for name, taken := range map[string]int64{"from the beginning": 0, "when they have grown": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stop := make(chan struct{})
			address := narrowServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/stalled" {
					_, _ = io.CopyN(io.Discard, r.Body, taken)
					<-stop
				}
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, "done")
			})
			b := start(t, []string{address}, overHTTP2, withFrontend(func(f *conf.Frontend) { f.MaxBody, f.MinBodyRate = 0, 0 }))
			c := b.http2Client()
			var done sync.WaitGroup
			defer done.Wait()
			defer close(stop)
			for range uploads {
				done.Go(func() {
					response, err := c.Post("http://"+b.Address+"/stalled", "text/plain", endless{stop})
					if err != nil {
						t.Error(err)
						return
					}
					_ = response.Body.Close()
				})
			}
			held := 0
			b.Eventually("ten uploads have stalled", func() bool {
				n := 0
				n, held = b.stalledUploads()
				return n == uploads
			})
			if buffer := int(b.frontend.Settings().Frontend.HTTP2Buffer); held > 8*buffer {
				t.Errorf("the connection holds %d bytes, want %d at most", held, 8*buffer)
			}
			for range 5 {
				if _, body := b.ask(c, "POST", "/", strings.Repeat("x", 300<<10)); body != "done" {
					t.Errorf("%q", body)
				}
			}
		})
	}
}

// endless is a body that ends when stop is closed.
type endless struct{ stop <-chan struct{} }

// Read implements io.Reader.
func (e endless) Read(p []byte) (int, error) {
	select {
	case <-e.stop:
		return 0, io.EOF
	default:
		return len(p), nil
	}
}

// stalledUploads returns how many uploads wait for a server that takes no more, and how many
// bytes they hold.
func (b *fixture) stalledUploads() (n, held int) {
	b.eachMultiplexer(func(m *multiplexer) {
		m.EachStream(func(s session.Session) {
			c := s.(*client)
			held += c.stream.Unpaid
			if x := &c.exchange; x.state == exchanging && x.upstream.conn.Blocked() && c.stream.Unpaid > 0 {
				n++
			}
		})
	})
	return n, held
}

// narrowServer is a netServer whose sockets receive little ahead of the handler.
func narrowServer(t testing.TB, handler http.HandlerFunc) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetReadBuffer(256 << 10)
		return ctx
	}
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// A client that never opens its windows gets heads, costs no more than http2_buffer allows, and
// is ended by a timer.
func TestHTTP2ZeroWindow(t *testing.T) {
	t.Parallel()
	large := make([]byte, 1<<20)
	address := netServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) })
	b := start(t, []string{address}, overHTTP2, withStoppedTime, withFrontend(func(f *conf.Frontend) { f.HTTP2Buffer = 32 << 10 }))
	p := b.peer(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	const streams = 100
	for i := range uint32(streams) {
		p.open(2*i+1, true, "GET", "/")
	}
	for heads := 0; heads < streams; {
		if f, ok := p.frame().(*http2.MetaHeadersFrame); ok && f.PseudoValue("status") == "200" {
			heads++
		}
	}
	parked := 0
	b.eachMultiplexer(func(m *multiplexer) { parked += m.parked })
	if most := 8*(32<<10) + streams*2*least; parked > most {
		t.Errorf("%d bytes are parked, want %d at most", parked, most)
	}
	b.Advance(b.frontend.Settings().Frontend.TimeoutClient + time.Second)
	for ended := 0; ended < streams; {
		if f, ok := p.frame().(*http2.RSTStreamFrame); ok && f.ErrCode == http2.ErrCodeInternal {
			ended++
		}
	}
	p.Finish()
}

// eachMultiplexer calls f for every connection of HTTP/2, on its loop.
func (b *fixture) eachMultiplexer(f func(*multiplexer)) {
	b.Each(func(conn *reactor.Conn) {
		if m, ok := conn.Handler().(*multiplexer); ok {
			f(m)
		}
	})
}

// A stream whose client does not read it does not stop the others.
func TestHTTP2SlowStream(t *testing.T) {
	t.Parallel()
	large := make([]byte, 1<<20)
	address := netServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) })
	b := start(t, []string{address}, overHTTP2)
	p := b.peer(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	p.check(p.WriteWindowUpdate(0, 1<<24))
	for id := uint32(1); id < 20; id += 2 {
		p.open(id, true, "GET", "/")
	}
	p.check(p.WriteWindowUpdate(19, 1<<21))
	p.want(19, "200 1048576 END_STREAM")
	for id := uint32(1); id < 19; id += 2 {
		p.check(p.WriteWindowUpdate(id, 1<<21))
		p.want(id, "200 1048576 END_STREAM")
	}
	p.Finish()
}

// On a port with both protocols the first bytes decide, one by one.
func TestHTTP2OrNot(t *testing.T) {
	t.Parallel()
	b := start(t, []string{fixed(t, toolsAnswer)}, overHTTP2)
	for _, method := range []string{"PRI", "PRIX", "PROPFIND", "PR", "P", "POST"} {
		client := b.dial()
		for _, one := range []byte(method + " / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n") {
			client.Say(string(one))
		}
		client.wantStatus(method, 200)
		client.Finish()
	}
	client := b.dial()
	for _, one := range []byte(http2.ClientPreface) {
		client.Say(string(one))
	}
	f, err := http2.NewFramer(io.Discard, client.Reader).ReadFrame()
	if err != nil || f.Header().Type != http2.FrameSettings {
		t.Errorf("%v %v, want SETTINGS", f, err)
	}
	client.Finish()

	off := start(t, []string{fixed(t, toolsAnswer)})
	client = off.dial()
	client.Say(http2.ClientPreface)
	client.wantStatus("PRI", 400)
	client.Finish()
}

// GOAWAY is sent when a connection is to take no more requests: those that are open complete.
func TestHTTP2GoAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*setup)
		cause  func(*fixture)
	}{
		"requests_per_connection": {withFrontend(func(f *conf.Frontend) { f.RequestsPerConnection = 1 }), func(*fixture) {}},
		"the frontend drains":     {oneLoop, func(b *fixture) { b.frontend.Drain() }},
		"the process drains":      {oneLoop, func(b *fixture) { b.eachMultiplexer(func(m *multiplexer) { m.Drain() }) }},
		"other TLS": {oneLoop, func(b *fixture) {
			s := *b.frontend.Settings()
			s.Frontend.TLS = &conf.TLS{MinVersion: "1.3"}
			b.frontend.Apply(s)
		}},
	} {
		b, s := startServed(t, overHTTP2, c.change)
		p := b.peer()
		p.open(1, true, "GET", "/")
		server := s.next()
		server.request()
		c.cause(b)
		for {
			if f, ok := p.frame().(*http2.GoAwayFrame); ok {
				if f.ErrCode != http2.ErrCodeNo || f.LastStreamID != 1 {
					t.Errorf("%s: %v", name, f)
				}
				break
			}
		}
		server.answer("ok")
		p.want(1, "200 2 END_STREAM")
		p.HearEnd()
		p.Finish()
	}
}

// Time limits of a connection: see multiplexer.deadline.
func TestHTTP2Timeouts(t *testing.T) {
	t.Parallel()
	b := start(t, []string{fixed(t, toolsAnswer)}, overHTTP2, withStoppedTime)
	f := b.frontend.Settings().Frontend

	unfinished := b.dial()
	unfinished.Say(http2.ClientPreface[:10])
	noSettings := b.dial()
	noSettings.Say(http2.ClientPreface)
	block := b.peer()
	block.check(block.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}}))
	idle := b.peer()
	idle.open(1, true, "GET", "/")
	idle.want(1, fmt.Sprintf("200 %d END_STREAM", len(toolsBody)))
	b.Turns(3)
	b.Eventually("all are there", func() bool { return b.frontend.Current() == 4 })
	b.Advance(f.TimeoutHTTPRequest + time.Second)
	unfinished.wantStatus("GET", 408)
	if p, err := io.ReadAll(noSettings.Reader); err != nil || !bytes.Contains(p, []byte{0, 0, 8, 7}) {
		t.Errorf("%q %v, want GOAWAY", p, err)
	}
	if got := block.frame(); got.Header().Type != http2.FrameGoAway {
		t.Errorf("%v, want GOAWAY", got)
	}
	block.HearEnd()
	b.Advance(f.TimeoutKeepalive)
	if got := idle.frame(); got.Header().Type != http2.FrameGoAway {
		t.Errorf("%v, want GOAWAY", got)
	}
	idle.HearEnd()
	for _, c := range []*endpoint.Conn{unfinished.Conn, noSettings.Conn, block.Conn, idle.Conn} {
		c.Finish()
	}
}

// A WebSocket by extended CONNECT (RFC 8441) is metered and ends as one of HTTP/1.1 does.
func TestHTTP2WebSocket(t *testing.T) {
	t.Parallel()
	for name, log := range map[string]func(*setup){"logged": func(*setup) {}, "not logged": withoutLog} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			webSocketOverHTTP2(t, log)
		})
	}
}

func webSocketOverHTTP2(t *testing.T, log func(*setup)) {
	b, s := startServed(t, overHTTP2, log)
	p := b.peer()
	connect := func(id uint32) *httpConn {
		p.open(id, false, "CONNECT", "/ws", ":protocol", "websocket", "sec-websocket-version", "13")
		server := s.next()
		head := server.head()
		if head.first() != "GET /ws HTTP/1.1" || head.get(t, "Upgrade") != "websocket" || len(head.get(t, "Sec-WebSocket-Key")) != 24 {
			t.Fatalf("the server got %q", head)
		}
		server.Say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + acceptKey(head.get(t, "Sec-WebSocket-Key")) + "\r\n\r\n")
		return server
	}
	const text, masked = "\x81\x02hi", "\x81\x82\x00\x00\x00\x00ho"
	server := connect(1)
	server.Say(text)
	p.check(p.WriteData(1, false, []byte(masked)))
	server.Hear(masked)
	b.Eventually("both frames are counted", func() bool {
		totals := b.frontend.Totals()
		return totals.Tunnels == 1 && totals.MessagesIn == 2 && totals.MessagesOut == 1
	})
	p.check(p.WriteData(1, true, nil))
	server.HearEnd()
	server.Finish()
	p.want(1, "200 4 END_STREAM")

	server = connect(3)
	server.Reset()
	p.want(3, "200 0 CANCEL")
	server = connect(5)
	p.check(p.WriteRSTStream(5, http2.ErrCodeCancel))
	server.HearReset()
	server = connect(7)
	p.check(p.WriteData(7, false, []byte("no frame")))
	p.want(7, "200 0 CANCEL")
	server.HearReset()

	p.open(9, false, "CONNECT", "/ws", ":protocol", "websocket", "sec-websocket-version", "13")
	server = s.next()
	server.head()
	server.answer("not here")
	p.want(9, "200 8 END_STREAM")
	p.Finish()
}

// A page reads the 431 that its head gets, wherever in it the Origin stands; one that the list
// does not have does not, nor one that sends two.
func TestHTTP2LargeHeadOfPage(t *testing.T) {
	t.Parallel()
	const page, other = "https://page.example", "https://other.example"
	b := start(t, []string{"127.0.0.1:1"}, overHTTP2, withFrontend(func(f *conf.Frontend) { f.MaxHeader, f.AllowedOrigins = 2<<10, []string{page} }))
	p := b.peer()
	large, later := strings.Repeat("y", 4<<10), strings.Repeat("y", 500)
	for i, c := range []struct {
		fields []string
		want   string
	}{
		{[]string{"origin", page, "x", large}, page},
		{[]string{"x", large, "origin", page}, page},
		{[]string{"x", large, "y", later, "origin", page, "z", large}, page},
		{[]string{"x", large, "origin", other}, ""},
		{[]string{"origin", page, "x", large, "origin", other}, ""},
		{[]string{"x", large}, ""},
	} {
		id := uint32(2*i + 1)
		p.open(id, true, "GET", "/", c.fields...)
		p.want(id, fmt.Sprintf("431 %d END_STREAM", len("the head is larger than allowed\n")))
		if got := p.streams[id].fields.Get("Access-Control-Allow-Origin"); got != c.want {
			t.Errorf("stream %d: Access-Control-Allow-Origin %q, want %q", id, got, c.want)
		}
	}
	p.Finish()
}

// A head that is too large is answered 431, one that is malformed ends its stream alone, and
// one too many is refused: the connection goes on.
func TestHTTP2Refusals(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, overHTTP2, withFrontend(func(f *conf.Frontend) { f.MaxHeader, f.HTTP2Streams = 2<<10, 1 }))
	p := b.peer()
	p.open(1, true, "GET", "/", "x", strings.Repeat("y", 4<<10))
	p.want(1, fmt.Sprintf("431 %d END_STREAM", len("the head is larger than allowed\n")))
	p.open(3, true, "GET", "/", "Connection", "close")
	p.want(3, " 0 PROTOCOL_ERROR")
	p.open(5, true, "GET", "/")
	server := s.next()
	server.request()
	p.open(7, true, "GET", "/")
	p.want(7, " 0 REFUSED_STREAM")
	server.answer("ok")
	p.want(5, "200 2 END_STREAM")
	refused := b.frontend.Totals().StreamsRefused
	if refused["upper_case"] != 1 || refused["refused"] != 1 {
		t.Errorf("%v", refused)
	}
	p.Finish()
}

// Each stream is a request for the rate, and one over it does not hold the others.
func TestHTTP2Rate(t *testing.T) {
	t.Parallel()
	for _, over := range []conf.OverMessage{conf.Reject, conf.Delay} {
		b := start(t, []string{fixed(t, toolsAnswer)}, overHTTP2, withStoppedTime, withLimits(func(l *conf.RateLimit) {
			l.MessageRate, l.MessageBurst, l.OverMessage, l.BanAfter = 1, 2, over, 0
		}))
		p := b.peer()
		for id := uint32(1); id < 7; id += 2 {
			p.open(id, true, "GET", "/")
		}
		p.want(3, fmt.Sprintf("200 %d END_STREAM", len(toolsBody)))
		if over == conf.Reject {
			if got := p.outcome(5); !strings.HasPrefix(got, "429 ") {
				t.Errorf("%s, want 429", got)
			}
		} else {
			b.Advance(2 * time.Second)
			p.want(5, fmt.Sprintf("200 %d END_STREAM", len(toolsBody)))
		}
		p.Finish()
	}
}

// A server that goes down, or an operator, ends streams one by one.
func TestHTTP2Sessions(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, overHTTP2)
	p := b.peer()
	p.open(1, true, "GET", "/down")
	server := s.next()
	server.request()
	var seen []session.Info
	var held *backend.Server
	b.Each(func(conn *reactor.Conn) {
		session.Each(conn, func(s session.Session) {
			seen = append(seen, s.Info())
			if server := s.Server(); server != nil {
				held = server
				s.ServerDown(conf.OnDownClose)
			}
		})
	})
	if len(seen) != 2 || seen[0].Stream != 1 || seen[1].Protocol != "h2" || seen[0].Protocol != "h2" || held == nil {
		t.Errorf("sessions %+v", seen)
	}
	p.want(1, "502 50 END_STREAM")
	server.HearReset()
	p.open(3, true, "GET", "/stop")
	server = s.next()
	server.request()
	server.Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
	for {
		if _, ok := p.frame().(*http2.MetaHeadersFrame); ok {
			break
		}
	}
	b.Each(func(conn *reactor.Conn) { session.Each(conn, func(s session.Session) { s.Abort(session.Stopped) }) })
	p.want(3, " 0 INTERNAL_ERROR")
	if f, err := p.ReadFrame(); err != nil || f.Header().Type != http2.FrameGoAway {
		t.Errorf("%v %v, want GOAWAY", f, err)
	}
	if _, err := p.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
	p.Finish()
}

// toolsBody is the body of toolsAnswer.
var toolsBody = toolsAnswer[strings.Index(toolsAnswer, "\r\n\r\n")+4:]

// acceptKey is what a server answers to a WebSocket's key.
func acceptKey(key string) string {
	accept, _ := websocket.AcceptOf([]byte(key))
	return string(accept[:])
}
