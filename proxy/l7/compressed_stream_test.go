package l7

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"mcplb/proxy/mcp"
)

// compressor writes a body in a content coding.
type compressor struct {
	io.WriteCloser
	out bytes.Buffer
}

// compressing returns a compressor for a coding; "raw" is deflate without zlib's head,
// which some servers send under that name.
func compressing(tb testing.TB, coding string) *compressor {
	tb.Helper()
	c := &compressor{}
	var err error
	switch coding {
	case "deflate":
		c.WriteCloser = zlib.NewWriter(&c.out)
	case "raw":
		c.WriteCloser, err = flate.NewWriter(&c.out, flate.BestCompression)
	default:
		c.WriteCloser = gzip.NewWriter(&c.out)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// flushed compresses text, and returns what the server sends for it at once.
func (c *compressor) flushed(text string) string {
	_, _ = io.WriteString(c, text) // into memory
	_ = c.WriteCloser.(interface{ Flush() error }).Flush()
	defer c.out.Reset()
	return c.out.String()
}

// ended returns what the server sends at the end.
func (c *compressor) ended() string {
	_ = c.Close()
	return c.out.String()
}

// compressedHead is the head of a stream in a coding.
func compressedHead(coding string) string {
	if coding == "raw" {
		coding = "deflate"
	}
	return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: " + coding + "\r\nETag: \"1\"\r\nVary: Accept-Encoding\r\n"
}

// A server that compresses the stream of the deprecated transport, asked to or not, is
// as sticky as others, and no event waits for the next one. Otherwise the client's POSTs
// reach servers that do not know its session.
func TestCompressedStream(t *testing.T) {
	t.Parallel()
	const first = "event: endpoint\ndata: /messages?sessionId=123\n\n"
	tagged := strings.Replace(first, "123", "123&mcplb_tag="+mcp.TagOf("s1").String(), 1)
	for _, coding := range []string{"gzip", "X-GZIP", "deflate", "raw", "none, gzip", "gzip, identity"} {
		for _, framing := range []string{"chunked", "open"} {
			t.Run(coding+" "+framing, func(t *testing.T) {
				t.Parallel()
				_, client, server := startExchange(t, get("/sse", "Accept: */*", "Accept-Encoding: gzip"))
				zip := compressing(t, coding)
				say := func(p string) {
					if framing == "chunked" && p != "" {
						p = chunk(p)
					}
					server.Say(p)
				}
				head := compressedHead(coding)
				if framing == "chunked" {
					head += "Transfer-Encoding: chunked\r\n"
				}
				server.Say(head + "\r\n")
				h := client.head()
				if h.get(t, "Content-Encoding") != "" || h.get(t, "ETag") != `W/"1"` || h.get(t, "Vary") != "Accept-Encoding" {
					t.Errorf("the head is %q", h)
				}
				say(zip.flushed(first))
				client.Hear(chunk(tagged))
				for i := range 20 {
					event := fmt.Sprintf("data: {\"id\":%d}\n\n", i)
					say(zip.flushed(event))
					client.Hear(chunk(event)) // before the next is sent
				}
				say(zip.ended())
				if framing == "chunked" {
					server.Say("0\r\n\r\n")
				} else if err := server.CloseWrite(); err != nil {
					t.Error(err)
				}
				client.Hear("0\r\n\r\n")
			})
		}
	}
}

// The ids of tasks get their tags in compressed responses, too.
func TestCompressedTaskResults(t *testing.T) {
	t.Parallel()
	for media, body := range map[string]string{"application/json": newTask, "text/event-stream": asEvent(newTask)} {
		for _, framing := range []string{"length", "chunked"} {
			t.Run(media+" "+framing, func(t *testing.T) {
				t.Parallel()
				_, client, server := startExchange(t, toolCall)
				zip := compressing(t, "gzip")
				zipped := zip.flushed(body) + zip.ended()
				head := "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: " + media + "\r\n"
				if framing == "length" {
					server.Say(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(zipped), zipped))
				} else {
					server.Say(head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(zipped) + "0\r\n\r\n")
				}
				if r, got := client.wantStatus("POST", 200); got != tagAll(body) || r.Header.Get("Content-Encoding") != "" {
					t.Errorf("got %q, %v, want %q", got, r.Header, tagAll(body))
				}
			})
		}
	}
}

// Some bytes that decode to very many must not take the memory of all clients: no more
// of them is decoded than the client takes. All of it arrives, and the end behind it,
// also through an upgrade.
func TestCompressedStreamIsBounded(t *testing.T) {
	t.Parallel()
	t.Run("one process", func(t *testing.T) { testCompressedStreamIsBounded(t, false) })
	t.Run("an upgrade", func(t *testing.T) { testCompressedStreamIsBounded(t, true) })
}

func testCompressedStreamIsBounded(t *testing.T, upgrade bool) {
	t.Parallel()
	const size = 32 << 20
	b, s := startServed(t, oneLoop, withoutLog)
	caller := b.dialNarrow()
	server := s.receiveHead(caller, get("/sse"))
	zip := compressing(t, "gzip")
	zipped := zip.flushed("data: "+strings.Repeat("x", size)+"\n\n") + zip.ended()
	if len(zipped) > mostReceived {
		t.Fatalf("%d bytes do not come in one piece", len(zipped))
	}
	server.Say(compressedHead("gzip") + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(zipped), zipped))
	b.Eventually("the client takes no more", func() (blocked bool) {
		b.each(func(c *client) { blocked = c.down().Blocked() && c.exchange.upstream.unread.Len() > 0 })
		return blocked
	})
	b.each(func(c *client) {
		if parked := c.down().Parked(); parked > 2*mostReceived+4<<10 {
			t.Errorf("%d bytes wait for the caller", parked)
		}
	})
	if upgrade {
		b.handOver()
	}
	caller.head()
	n, err := io.Copy(io.Discard, httputil.NewChunkedReader(caller.Reader))
	if want := int64(len("data: \n\n") + size); err != nil || n != want {
		t.Errorf("%d bytes, %v, want %d", n, err, want)
	}
	caller.Hear("\r\n")
	caller.Say(get("/next")) // on a connection that serves on
	server.head()
	server.answer("fine")
	caller.wantStatus("GET", 200)
}

// What cannot be decoded ends the stream, where the caller would have found its fault:
// it must not be taken for complete.
func TestCorruptStream(t *testing.T) {
	t.Parallel()
	b, client, server := startExchange(t, get("/sse"), oneLoop)
	zip := compressing(t, "gzip")
	server.Say(compressedHead("gzip") + "Transfer-Encoding: chunked\r\n\r\n" + chunk(zip.flushed("data: 1\n\n")))
	client.head()
	client.Hear(chunk("data: 1\n\n"))
	server.Say(chunk("\xff\xff\xff\xff\xff\xff"))
	client.HearEnd() // without the last chunk
	server.HearReset()
	if line := b.only(); line.Reason != "server_reset" || line.Detail != "content_coding" {
		t.Errorf("the access log has %v", line)
	}
}

// A compressed stream continues in the new process after an upgrade, from within a code.
func TestCompressedStreamIsHandedOver(t *testing.T) {
	t.Parallel()
	first := "event: endpoint\ndata: /messages?sessionId=123\n\n"
	tagged := strings.Replace(first, "123", "123&mcplb_tag="+mcp.TagOf("s1").String(), 1)
	zip := compressing(t, "gzip")
	sent := zip.flushed(first)
	for cut := 1; cut < len(sent); cut += 9 {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, oneLoop, withoutLog)
			caller := b.dial()
			server := s.receive(caller, get("/sse"))
			server.Say(compressedHead("gzip") + "Transfer-Encoding: chunked\r\n\r\n" + chunk(sent[:cut]))
			caller.head()
			b.Eventually("what has come was read", func() (read bool) {
				b.each(func(c *client) { read = c.exchange.has(answered) && !c.exchange.upstream.conn.Readable() })
				return read
			})
			b.handOver()
			server.Say(chunk(sent[cut:]))
			caller.Hear(chunk(tagged))
		})
	}
}

// Comments keep a stream alive that the server compresses, as they do others.
func TestCommentsInCompressedStream(t *testing.T) {
	t.Parallel()
	b, client, server := startExchange(t, get("/sse"), withComments)
	zip := compressing(t, "gzip")
	server.Say(compressedHead("gzip") + "Transfer-Encoding: chunked\r\n\r\n" + chunk(zip.flushed("data: 1\n\n")))
	client.head()
	client.Hear(chunk("data: 1\n\n"))
	b.Advance(15 * time.Second)
	client.Hear(chunk(":\n\n"))
}

// A client that takes its time over what is decoded for it is not idle: its answer is not
// cut, however long all of it takes.
func TestSlowReaderOfCompressedStream(t *testing.T) {
	t.Parallel()
	const portion = 4 << 20
	b, s := startServed(t, oneLoop, withoutLog, withStoppedTime, func(s *setup) {
		s.frontend.TimeoutClient, s.backends[0].TimeoutServer = time.Minute, time.Minute
	})
	caller := b.dialNarrow()
	server := s.receiveHead(caller, get("/sse"))
	zip := compressing(t, "gzip")
	zipped := zip.flushed(strings.Repeat("x", 4*portion)) + zip.ended()
	server.Say(compressedHead("gzip") + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(zipped), zipped))
	caller.head()
	body := httputil.NewChunkedReader(caller.Reader)
	for range 4 {
		b.Advance(40 * time.Second)
		if _, err := io.CopyN(io.Discard, body, portion); err != nil {
			t.Fatal(err)
		}
	}
	if rest, err := io.ReadAll(body); len(rest) > 0 || err != nil {
		t.Errorf("%d more bytes, %v", len(rest), err)
	}
}
