package l7

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"mcplb/proxy/mcp"
)

// Trailers as they are sent, and what is passed on of them.
const (
	trailersSent = "X-One: 1\r\nContent-Digest: sha-256=:x:\r\nHost: evil\r\nUser-Agent: me\r\nSet-Cookie: a=b\r\nContent-Type: text/plain\r\nX_Forwarded_For: 1.2.3.4\r\n" +
		"Content-Length: 7\r\nETag: \"e\"\r\nAuthorization: Basic x\r\nMcp-Session-Id: s\r\nTransfer-Encoding: chunked\r\nX-Last: 2\r\n"
	trailersPassed = "X-One: 1\r\nContent-Digest: sha-256=:x:\r\nUser-Agent: me\r\nContent-Type: text/plain\r\nETag: \"e\"\r\nX-Last: 2\r\n"
	// Those of a body that is compressed or rewritten.
	trailersChanged = "X-One: 1\r\nUser-Agent: me\r\nContent-Type: text/plain\r\nX-Last: 2\r\n"
)

// sayPieces sends text in pieces of n bytes.
func sayPieces(c *httpConn, text string, n int) {
	for text != "" {
		piece := text[:min(n, len(text))]
		if _, err := io.WriteString(c, piece); err != nil {
			return // the reader reports it
		}
		text = text[len(piece):]
	}
}

// chunks receives a body in the chunked coding: its data, and its trailers as they are
// written.
func (p *httpConn) chunks() (data, trailers string) {
	p.Helper()
	line := func() string {
		text, err := p.Reader.ReadString('\n')
		if err != nil {
			p.Fatalf("received %q and %q, %v", data, text, err)
		}
		return text
	}
	for {
		size, err := strconv.ParseUint(strings.TrimSuffix(line(), "\r\n"), 16, 31)
		if err != nil {
			p.Fatal(err)
		}
		if size == 0 {
			break
		}
		piece := make([]byte, size)
		if _, err := io.ReadFull(p.Reader, piece); err != nil {
			p.Fatal(err)
		}
		data += string(piece)
		line()
	}
	for text := line(); text != "\r\n"; text = line() {
		trailers += text
	}
	return data, trailers
}

// Trailers pass, those that frame, route or authorize are left out, and the message
// stays complete, in both directions, however it is split: clients of servers that
// send a digest, a cookie or a Content-Type behind the body would lose the response
// otherwise, after all of it had arrived. Trailer announces what passes.
func TestTrailers(t *testing.T) {
	t.Parallel()
	const stream, announced = "event: endpoint\ndata: /messages?sessionId=123\n\n", "Trailer: X-One, Content-Digest, host\r\nTrailer: x-one; q=1, ETag, Set-Cookie\r\n"
	tagged := strings.Replace(stream, "123", "123&mcplb_tag="+mcp.TagOf("s1").String(), 1)
	large := strings.Repeat("{\"some\": \"json\"}", 500)
	for name, c := range map[string]struct {
		request, fields, body string
		data, trailers        string // what the client gets
		trailer               string // the Trailer field that it gets
		zipped                bool
	}{
		"plain":               {get("/"), "", "hello", "hello", trailersPassed, "X-One, Content-Digest, ETag", false},
		"empty":               {get("/"), "", "", "", trailersPassed, "X-One, Content-Digest, ETag", false},
		"gzip":                {get("/", "Accept-Encoding: gzip"), "Content-Type: application/json\r\n", large, large, trailersChanged, "X-One, ETag", true},
		"endpoint":            {get("/"), "Content-Type: text/event-stream\r\n", stream, tagged, trailersChanged, "X-One", false},
		"named in Connection": {get("/"), "Connection: X-Last\r\n", "hello", "hello", "", "", false},
	} {
		for _, piece := range []int{1 << 20, 1, 7} {
			t.Run(fmt.Sprint(name, " ", piece), func(t *testing.T) {
				t.Parallel()
				_, client, server := startExchange(t, c.request)
				trailer, left := announced, c.trailer
				if c.zipped { // one that announced a digest would not be compressed
					trailer, left = "Trailer: X-One, ETag\r\n", "X-One"
				}
				body := "0\r\n" + trailersSent + "\r\n"
				if c.body != "" {
					body = chunk(c.body) + body
				}
				go sayPieces(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"+c.fields+trailer+"\r\n"+body, piece)
				if h := client.head(); h.get(t, "Trailer") != left || (h.get(t, "Content-Encoding") == "gzip") != c.zipped {
					t.Errorf("the head is %q", h)
				}
				data, trailers := client.chunks()
				if c.zipped {
					data = unzip(t, data)
				}
				if data != c.data || trailers != c.trailers {
					t.Errorf("the client got %.100q and %q", data, trailers)
				}
				client.Say(get("/next")) // both connections live on
				server.request()
				server.answer("fine")
				client.wantStatus("GET", 200)
			})
		}
	}
	for _, piece := range []int{1 << 20, 1, 7} {
		t.Run(fmt.Sprint("up ", piece), func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t)
			client := b.dial()
			go sayPieces(client, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"+announced+"\r\n"+chunk("hello")+"0\r\n"+trailersSent+"\r\n"+get("/next"), piece)
			server := s.next()
			if h := server.head(); h.get(t, "Trailer") != "X-One, Content-Digest, ETag" || h.get(t, "Host") != "x" {
				t.Errorf("the head is %q", h)
			}
			if data, trailers := server.chunks(); data != "hello" || trailers != trailersPassed {
				t.Errorf("the server got %q and %q", data, trailers)
			}
			server.answer("fine")
			client.wantStatus("POST", 200)
			if r, _ := server.request(); r.URL.Path != "/next" {
				t.Errorf("the next request is for %s", r.URL)
			}
			server.answer("fine")
			client.wantStatus("GET", 200)
		})
	}
}

// A client of HTTP/1.0 gets the body without chunks and trailers.
func TestTrailersForOldClient(t *testing.T) {
	t.Parallel()
	_, client, server := startExchange(t, "GET / HTTP/1.0\r\n\r\n")
	go sayPieces(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-One\r\n\r\n"+chunk("hello")+"0\r\n"+trailersSent+"\r\n", 5)
	if h := client.head(); h.all("Trailer") != nil || h.all("Transfer-Encoding") != nil {
		t.Errorf("the head is %q", h)
	}
	client.Hear("hello")
	client.HearEnd()
}

// A request with trailers that is sent again, and one that is refused, end where they end.
func TestTrailersOfRefusedRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ fields, body string }{
		"JSON-RPC": {"Content-Type: application/json\r\nMcp-Session-Id: abc." + mcp.TagOf("gone").String() + "\r\n", rpcBody("7")},
		"other":    {"Mcp-Session-Id: abc." + mcp.TagOf("gone").String() + "\r\n", "hello"},
	} {
		for _, piece := range []int{1 << 20, 3} {
			t.Run(fmt.Sprint(name, " ", piece), func(t *testing.T) {
				t.Parallel()
				if name == "other" && piece == 3 {
					return // such a request is not waited for
				}
				b, s := startServed(t)
				client := b.dial()
				go sayPieces(client, "POST / HTTP/1.1\r\nHost: x\r\n"+c.fields+"Transfer-Encoding: chunked\r\n\r\n"+chunk(c.body)+"0\r\n"+trailersSent+"\r\n"+get("/next"), piece)
				if _, body := client.wantStatus("POST", 404); name == "JSON-RPC" && !strings.Contains(body, `"id":7`) {
					t.Errorf("the body is %q", body)
				}
				server := s.next()
				server.request()
				server.answer("fine")
				client.wantStatus("GET", 200)
			})
		}
	}
}

// Malformed and endless trailers are still refused: readers could disagree about them.
func TestMalformedTrailers(t *testing.T) {
	t.Parallel()
	for name, trailers := range map[string]string{
		"bare LF": "X: y\n", "fold": "X: y\r\n z\r\n", "space before colon": "X : y\r\n", "no name": ": y\r\n", "endless": "X: " + strings.Repeat("y", 9<<10) + "\r\n",
		"control byte": "Host: \x00\r\n", "no colon": "GET / HTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, client, server := startExchange(t, get("/"))
			go sayPieces(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk("hello")+"0\r\n"+trailers+"\r\n", 1<<20)
			client.HearCut()
			client = b.dial()
			client.Say("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("hello") + "0\r\n" + trailers + "\r\n")
			client.wantStatus("POST", 400)
			client.Close()
		})
	}
}

func unzip(t *testing.T, data string) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader([]byte(data)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}
