package l7

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"mcplb/conf"
	"mcplb/proxy/mcp"
)

// Each event of a stream arrives before the next is sent, in every framing and with
// every transformation.
func TestEventsAreNotDelayed(t *testing.T) {
	t.Parallel()
	const kind = "Content-Type: text/event-stream\r\n"
	for name, c := range map[string]struct {
		request, framing string
		chunked          bool // as the server sends it
		raw              bool // the client gets no chunks
	}{
		"POST, chunked":      {rpcPost("1", "Accept-Encoding: gzip"), "Transfer-Encoding: chunked\r\n", true, false},
		"POST, open":         {rpcPost("1", "Accept-Encoding: gzip"), "", false, true},
		"GET, chunked":       {get("/", "Accept-Encoding: gzip"), "Transfer-Encoding: chunked\r\n", true, false},
		"GET, open":          {get("/"), "", false, false},
		"GET, length":        {get("/"), "Content-Length: 100000\r\n", false, false},
		"old client":         {"GET / HTTP/1.0\r\n\r\n", "Transfer-Encoding: chunked\r\n", true, true},
		"old client, no MCP": {"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n", true, true},
		"in a session":       {get("/", "Mcp-Session-Id: x"), "", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client, server := startExchange(t, c.request)
			server.Say("HTTP/1.1 200 OK\r\n" + kind + c.framing + "\r\n")
			h := client.head()
			if raw := h.get(t, "Transfer-Encoding") == ""; raw != c.raw || h.get(t, "Content-Encoding") != "" || h.get(t, "Content-Length") != "" {
				t.Errorf("the head is %q", h)
			}
			for i := range 20 {
				event := fmt.Sprintf("id: %d\ndata: {\"n\":%d}\n\n", i, i)
				want := event
				if !c.raw {
					want = chunk(event)
				}
				if c.chunked {
					server.Say(chunk(event))
				} else {
					server.Say(event)
				}
				client.Hear(want) // before the next is sent
			}
			client.Reset()
			server.HearReset()
		})
	}
}

// The URI in the endpoint event of the deprecated transport is tagged, in whatever
// pieces it comes, and its POSTs reach their server, which sees the URI that it named.
func TestEndpointEvent(t *testing.T) {
	t.Parallel()
	const stream = ": hello\r\n\r\nevent: endpoint\r\ndata: /messages?a=b&sessionId=123&c=d\r\n\r\nevent: message\ndata: x\n\n"
	tag := "&mcplb_tag=" + mcp.TagOf("s1").String()
	tagged := strings.Replace(stream, "c=d", "c=d"+tag, 1)
	for _, framing := range []string{"chunked", "open", "length"} {
		for _, piece := range []int{1, 3, 20, 1000} {
			t.Run(fmt.Sprint(framing, " ", piece), func(t *testing.T) {
				t.Parallel()
				b, s := startServed(t)
				client, server := b.pair(s, get("/sse"))
				server.Say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n" + map[string]string{
					"chunked": "Transfer-Encoding: chunked\r\nTrailer: T\r\n", "open": "", "length": fmt.Sprintf("Content-Length: %d\r\n", len(stream)),
				}[framing] + "\r\n")
				go func() {
					for rest := stream; rest != ""; {
						n := min(piece, len(rest))
						out := rest[:n]
						if framing == "chunked" {
							out = chunk(out)
						}
						if _, err := io.WriteString(server, out); err != nil {
							return
						}
						rest = rest[n:]
					}
					switch framing {
					case "chunked":
						_, _ = io.WriteString(server, "0\r\nT: x\r\n\r\n")
					case "open":
						_ = server.CloseWrite()
					}
				}()
				r, body := client.wantStatus("GET", 200)
				if body != tagged || r.Header.Get("Trailer") != "" || len(r.TransferEncoding) != 1 {
					t.Errorf("the body is %q, the header %v", body, r.Header)
				}
				client.Say(post("/messages?a=b&sessionId=123&c=d"+tag, rpcBody("1"), "Content-Type: application/json"))
				after := server
				if framing == "open" {
					after = s.next()
				}
				if r, _ := after.request(); r.RequestURI != "/messages?a=b&sessionId=123&c=d" {
					t.Errorf("the server received %s", r.RequestURI)
				}
			})
		}
	}
}

// These event streams are not rewritten.
func TestStreamsLeftAlone(t *testing.T) {
	t.Parallel()
	const stream = "event: endpoint\ndata: /messages?sessionId=123\n\n"
	for name, c := range map[string]struct {
		request, fields string
		sticky          bool
	}{
		"in a session": {get("/", "Mcp-Session-Id: x"), "Content-Type: text/event-stream", true},
		"modern":       {get("/", "MCP-Protocol-Version: 2026-07-28"), "Content-Type: text/event-stream", true},
		"POST":         {post("/", ""), "Content-Type: text/event-stream", true},
		"other type":   {get("/"), "Content-Type: text/event-streams", true},
		"not sticky":   {get("/"), "Content-Type: text/event-stream", false},
		"encoded":      {get("/"), "Content-Type: text/event-stream\r\nContent-Encoding: br", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client, server := startExchange(t, c.request, withFrontend(func(f *conf.Frontend) { f.Sticky.Session = c.sticky }))
			server.answer(stream, c.fields)
			if _, body := client.response("GET"); body != stream {
				t.Errorf("the body is %q", body)
			}
		})
	}
}

// A Content-Encoding that names no coding, as servers write it against compression, does
// not hide the endpoint event: every second session would fail.
func TestStreamsWithoutACoding(t *testing.T) {
	t.Parallel()
	const stream = "event: endpoint\ndata: /messages?sessionId=123"
	for _, coding := range []string{"", "identity", "Identity", "none", "NONE ", "identity, none", ",", "none\r\nContent-Encoding: identity"} {
		_, client, server := startExchange(t, get("/"))
		server.answer(stream+"\n\n", "Content-Type: text/event-stream\r\nContent-Encoding: "+coding)
		if _, body := client.response("GET"); !strings.HasPrefix(body, stream+"&mcplb_tag=") {
			t.Errorf("%q: the body is %q", coding, body)
		}
	}
	for _, coding := range []string{"br", "none, br", "gzip\r\nContent-Encoding: gzip", "x-none"} {
		_, client, server := startExchange(t, get("/"))
		server.answer(stream+"\n\n", "Content-Type: text/event-stream\r\nContent-Encoding: "+coding)
		if _, body := client.response("GET"); body != stream+"\n\n" {
			t.Errorf("%q: the body is %q", coding, body)
		}
	}
}

// A client that does not read stops the server, and a server that does not read stops
// the client. The balancer holds no more than the bytes of one read.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	t.Run("down", func(t *testing.T) {
		t.Parallel()
		for name, fields := range map[string]string{
			"until the end": "", "in chunks": "Transfer-Encoding: chunked\r\n", "streamed": "Content-Type: text/event-stream\r\n", "in gzip": "Content-Type: text/plain\r\n",
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b, client, server := startExchange(t, get("/", "Accept-Encoding: gzip"))
				server.Say("HTTP/1.1 200 OK\r\n" + fields + "\r\n")
				piece := make([]byte, 64<<10)
				for i := range piece {
					piece[i] = byte(rand.Uint32())
				}
				if strings.HasPrefix(fields, "Transfer") {
					piece = []byte(chunk(string(piece)))
				}
				stuck := b.Fill(server.Conn, piece)
				if n := b.Parked(); n == 0 || n > 64<<10 {
					t.Errorf("%d bytes are parked", n)
				}
				if stuck > 32<<20 {
					t.Errorf("%d bytes were taken", stuck)
				}
				client.Reset()
				server.HearReset()
			})
		}
	})
	t.Run("up", func(t *testing.T) {
		t.Parallel()
		b, s := startServed(t, withFrontend(func(f *conf.Frontend) { f.MaxBody = 0 }))
		client := b.dial()
		server := s.receiveHead(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
		stuck := b.Fill(client.Conn, make([]byte, 64<<10))
		if n := b.Parked(); n == 0 || n > 64<<10 {
			t.Errorf("%d bytes are parked", n)
		}
		if stuck > 32<<20 {
			t.Errorf("%d bytes were taken", stuck)
		}
		server.Reset()
		client.wantStatus("POST", 502)
	})
}

// These responses are compressed for these clients, with this head.
func TestGzip(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("some text that can be compressed, ", 200)
	const text = "Content-Type: text/plain"
	for name, c := range map[string]struct {
		fields  string // of the request
		answer  string // fields
		body    string
		zipped  bool
		varies  bool
		etag    string
		method  string
		status  string
		chunked bool // as the server sends it
		old     bool // a client of HTTP/1.0
		off     bool // compress = []
	}{
		"plain":            {fields: "Accept-Encoding: gzip", answer: text, body: large, zipped: true, varies: true},
		"JSON":             {fields: "Accept-Encoding: deflate, gzip;q=0.5", answer: "Content-Type: application/json; charset=utf-8", body: large, zipped: true, varies: true},
		"any":              {fields: "Accept-Encoding: *", answer: text, body: large, zipped: true, varies: true},
		"several lines":    {fields: "Accept-Encoding: br\r\nAccept-Encoding: gzip", answer: text, body: large, zipped: true, varies: true},
		"not asked":        {answer: text, body: large, varies: true},
		"refused":          {fields: "Accept-Encoding: gzip;q=0, *", answer: text, body: large, varies: true},
		"other coding":     {fields: "Accept-Encoding: br", answer: text, body: large, varies: true},
		"other type":       {fields: "Accept-Encoding: gzip", answer: "Content-Type: image/png", body: large},
		"no type":          {fields: "Accept-Encoding: gzip", body: large},
		"longer type":      {fields: "Accept-Encoding: gzip", answer: "Content-Type: text/plainer", body: large},
		"event stream":     {fields: "Accept-Encoding: gzip", answer: "Content-Type: text/event-stream", body: large},
		"encoded":          {fields: "Accept-Encoding: gzip", answer: text + "\r\nContent-Encoding: br", body: large},
		"no-transform":     {fields: "Accept-Encoding: gzip", answer: text + "\r\nCache-Control: private, no-transform", body: large},
		"no-transform, 2":  {fields: "Accept-Encoding: gzip", answer: text + "\r\nCache-Control: private; No-Transform", body: large},
		"no-transform, 3":  {fields: "Accept-Encoding: gzip", answer: text + "\r\nCache-Control: max-age=0 no-transform;", body: large},
		"no-transform, 4":  {fields: "Accept-Encoding: gzip", answer: text + "\r\nCache-Control: x=\"no-transform\"", body: large, zipped: true, varies: true},
		"small":            {fields: "Accept-Encoding: gzip", answer: text, body: large[:1023]},
		"just large":       {fields: "Accept-Encoding: gzip", answer: text, body: large[:1024], zipped: true, varies: true},
		"small chunks":     {fields: "Accept-Encoding: gzip", answer: text, body: large[:1023], chunked: true},
		"chunks":           {fields: "Accept-Encoding: gzip", answer: text, body: large, chunked: true, zipped: true, varies: true},
		"strong ETag":      {fields: "Accept-Encoding: gzip", answer: text + "\r\nETag: \"x\"", body: large, zipped: true, varies: true, etag: `W/"x"`},
		"weak ETag":        {fields: "Accept-Encoding: gzip", answer: text + "\r\nETag: W/\"x\"", body: large, zipped: true, varies: true, etag: `W/"x"`},
		"ETag, not asked":  {answer: text + "\r\nETag: \"x\"", body: large, varies: true, etag: `"x"`},
		"ranges":           {fields: "Accept-Encoding: gzip", answer: text + "\r\nAccept-Ranges: bytes", body: large, zipped: true, varies: true},
		"varies already":   {fields: "Accept-Encoding: gzip", answer: text + "\r\nVary: Origin, accept-encoding", body: large, zipped: true, varies: true},
		"HEAD":             {fields: "Accept-Encoding: gzip", answer: text, body: large, method: "HEAD", varies: true},
		"HEAD, chunks":     {answer: text, body: large, method: "HEAD", chunked: true, varies: true},
		"HEAD, small":      {fields: "Accept-Encoding: gzip", answer: text, body: large[:1023], method: "HEAD"},
		"HEAD, other type": {fields: "Accept-Encoding: gzip", answer: "Content-Type: image/png", body: large, method: "HEAD"},
		"HEAD, 204":        {fields: "Accept-Encoding: gzip", answer: text, method: "HEAD", status: "204 No Content"},
		"206":              {fields: "Accept-Encoding: gzip", answer: text, body: large, status: "206 Partial Content"},
		"404":              {fields: "Accept-Encoding: gzip", answer: text, body: large, status: "404 Not Found"},
		"201":              {fields: "Accept-Encoding: gzip", answer: text, body: large, status: "201 Created", zipped: true, varies: true},
		"old client":       {fields: "Accept-Encoding: gzip", answer: text, body: large, old: true, zipped: true, varies: true},
		"old, and chunked": {fields: "Accept-Encoding: gzip", answer: text, body: large, old: true, chunked: true, zipped: true, varies: true},
		"off":              {fields: "Accept-Encoding: gzip", answer: text, body: large, off: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, withFrontend(func(f *conf.Frontend) {
				if c.off {
					f.Compress = nil
				}
			}))
			method, version := or(c.method, "GET"), "HTTP/1.1"
			if c.old {
				version = "HTTP/1.0"
			}
			client := b.dial()
			server := s.receive(client, method+" / "+version+"\r\nHost: x\r\n"+strings.TrimPrefix(c.fields+"\r\n", "\r\n")+"\r\n")
			framing, body := fmt.Sprintf("Content-Length: %d", len(c.body)), c.body
			if c.chunked {
				framing, body = "Transfer-Encoding: chunked", chunk(c.body[:100])+chunk(c.body[100:])+"0\r\n\r\n"
			}
			if method == "HEAD" {
				body = ""
			}
			server.Say("HTTP/1.1 " + or(c.status, "200 OK") + "\r\n" + strings.TrimPrefix(c.answer+"\r\n", "\r\n") + framing + "\r\n\r\n" + body)
			r, got := client.response(method)
			checkZipped(t, r, got, c.body, c.zipped, method == "HEAD")
			if varies := strings.Contains(strings.ToLower(strings.Join(r.Header["Vary"], ",")), "accept-encoding"); varies != c.varies || len(r.Header["Vary"]) > 1 {
				t.Errorf("Vary: %q", r.Header["Vary"])
			}
			if etag := r.Header.Get("ETag"); etag != c.etag {
				t.Errorf("ETag: %q", etag)
			}
			if n := b.frontend.Totals().Zipped; n != 1 && c.zipped || n != 0 && !c.zipped {
				t.Errorf("%d responses are counted", n)
			}
			if c.old {
				client.HearEnd()
			} else if r.Close {
				t.Error("the connection ends")
			}
		})
	}
}

func checkZipped(t *testing.T, r *http.Response, got, want string, zipped, head bool) {
	t.Helper()
	if (r.Header.Get("Content-Encoding") == "gzip") != zipped {
		t.Errorf("Content-Encoding: %q", r.Header.Get("Content-Encoding"))
	}
	if zipped {
		if r.Header.Get("Content-Length") != "" || r.Header.Get("Accept-Ranges") != "" {
			t.Errorf("the header is %v", r.Header)
		}
		if len(got) > len(want)/2 {
			t.Errorf("%d bytes of %d", len(got), len(want))
		}
		z, err := gzip.NewReader(strings.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		got = string(plain)
	}
	if !head && got != want {
		t.Errorf("%.100q, want %.100q", got, want)
	}
}

// Compressed bytes do not wait for more when the server pauses, and the client sees when
// the server breaks off.
func TestGzipOfASlowAnswer(t *testing.T) {
	t.Parallel()
	for _, ends := range []bool{true, false} {
		t.Run(fmt.Sprint(ends), func(t *testing.T) {
			t.Parallel()
			_, client, server := startExchange(t, get("/", "Accept-Encoding: gzip"))
			server.Say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
			r, err := http.ReadResponse(client.Reader, &http.Request{Method: "GET"})
			if err != nil {
				t.Fatal(err)
			}
			server.Say(chunk("word 0\n"))
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 7)
			for i := range 10 {
				if _, err := io.ReadFull(z, p); err != nil || string(p) != fmt.Sprintf("word %d\n", i) {
					t.Fatalf("received %q, %v", p, err)
				}
				server.Say(chunk(fmt.Sprintf("word %d\n", i+1)))
			}
			if ends {
				server.Say("0\r\n\r\n")
			} else {
				server.Reset()
			}
			if rest, err := io.ReadAll(z); (err == nil) != ends {
				t.Errorf("received %q, %v", rest, err)
			}
		})
	}
}

// When all compressors are in use, a response is sent uncompressed.
func TestManyCompressed(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop)
	var servers []*httpConn
	zipped := 0
	for range mostCompressors + 4 {
		client, server := b.pair(s, get("/", "Accept-Encoding: gzip"))
		server.Say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(strings.Repeat("x", 2000)))
		h := client.head()
		if h.get(t, "Content-Encoding") == "gzip" {
			zipped++
		}
		if h.get(t, "Vary") != "Accept-Encoding" {
			t.Errorf("the head is %q", h)
		}
		servers = append(servers, server)
	}
	if zipped != mostCompressors {
		t.Errorf("%d responses are compressed at once", zipped)
	}
	for _, server := range servers {
		server.Say("0\r\n\r\n")
	}
	b.awaitState("reading", len(servers))
	b.On(b.Engine.Loops()[0], func() {
		if r := &b.workers[0].encoders; len(r.zipping) != mostCompressors || r.made != mostCompressors {
			t.Errorf("%d compressors of %d were returned", len(r.zipping), r.made)
		}
	})
}

// Large bodies are decompressed to the bytes that were sent, at every speed.
func TestGzipIntegrity(t *testing.T) {
	t.Parallel()
	var body bytes.Buffer
	random := rand.New(rand.NewPCG(1, 2))
	for body.Len() < 4<<20 {
		fmt.Fprintf(&body, "line %d of %d words\n", random.IntN(1000), random.Uint32())
	}
	b := start(t, []string{httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		rest := body.Bytes()
		for len(rest) > 0 {
			n := min(1+rand.IntN(100000), len(rest))
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
	})})
	for range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequest("GET", "http://"+b.Address+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept-Encoding", "gzip")
			response, err := httpClient(t).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			z, err := gzip.NewReader(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(z)
			if err != nil || !bytes.Equal(got, body.Bytes()) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}
