package l7

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mcplb/proxy/session"
)

// withComments stops the time and sends comments on idle event streams.
func withComments(s *setup) {
	times(s)
	s.frontend.SSEKeepalive = 15 * time.Second
}

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

// An event stream that is idle gets comments, between events only, whatever its framing
// and its line ends, so that no proxy and no NAT on the way ends it.
func TestStreamsAreKeptAlive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request, fields string
		chunked         bool // as the server sends it
		raw             bool // the client gets no chunks
		comment         string
	}{
		"POST, chunked":  {rpcPost("1", "Accept-Encoding: gzip"), "Transfer-Encoding: chunked\r\n", true, false, ":\n\n"},
		"POST, open":     {rpcPost("1"), "", false, false, ":\n\n"},
		"GET, chunked":   {get("/"), "Transfer-Encoding: chunked\r\n", true, false, ":\n\n"},
		"no-transform":   {get("/"), "Cache-Control: no-cache, no-transform\r\nTransfer-Encoding: chunked\r\n", true, false, ":\n\n"},
		"CRLF":           {get("/"), "", false, false, ":\r\n\r\n"},
		"CR":             {get("/", "MCP-Protocol-Version: 2026-07-28"), "", false, false, ":\r\r"},
		"old client":     {"GET / HTTP/1.0\r\n\r\n", "Transfer-Encoding: chunked\r\n", true, true, ":\n\n"},
		"modern session": {rpcPost("1", "MCP-Protocol-Version: 2026-07-28"), "Transfer-Encoding: chunked\r\n", true, false, ":\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, client, server := startExchange(t, c.request, withComments)
			server.Say(streamHead + c.fields + "\r\n")
			client.head()
			say := func(text string) {
				if c.chunked {
					text = chunk(text)
				}
				server.Say(text)
			}
			hear := func(text string) {
				if !c.raw {
					text = chunk(text)
				}
				client.Hear(text)
			}
			b.Advance(15 * time.Second)
			hear(":\n\n") // before the first event, whose line ends are not known
			line := strings.TrimPrefix(c.comment, ":")[:len(c.comment)/2]
			event := "data: 1" + line + line
			say(event)
			hear(event)
			b.Advance(10 * time.Second)
			say(event)
			hear(event)
			b.Advance(10 * time.Second)
			b.Advance(5 * time.Second)
			hear(c.comment)
			b.Advance(15 * time.Second)
			hear(c.comment)
			say(event)
			hear(event)
			client.Reset()
			server.HearReset()
		})
	}
}

// No comment stands within an event, a chunk or a line end: it comes after the next
// pause between two events.
func TestNoCommentWithinAnEvent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ first, rest, comment string }{
		{"data: 1", "\n\n", ":\n\n"},
		{"data: 1\n", "data: 2\n\n", ":\n\n"},
		{"data: 1\r\n\r", "\n", ":\r\n\r\n"},
		{": a comment", " of the server\r\n", ":\r\n\r\n"},
		{"\xef\xbb", "\xbfdata: 1\n\n", ":\n\n"},
	} {
		// Of the stateless era: no endpoint event is looked for, which holds events back.
		b, client, server := startExchange(t, get("/", "MCP-Protocol-Version: 2026-07-28"), withComments)
		server.Say(streamHead + "Transfer-Encoding: chunked\r\n\r\n" + chunk(c.first))
		client.head()
		client.Hear(chunk(c.first))
		for range 3 {
			b.Advance(15 * time.Second)
		}
		server.Say(chunk(c.rest))
		client.Hear(chunk(c.rest)) // and nothing before
		b.Advance(15 * time.Second)
		client.Hear(chunk(c.comment))
		client.Reset()
		server.HearReset()
	}
}

// An event that is announced as one chunk and comes in pieces is no obstacle, and a
// comment within the chunks of the server does not break them.
func TestCommentWithinAChunk(t *testing.T) {
	t.Parallel()
	b, client, server := startExchange(t, get("/"), withComments)
	server.Say(streamHead + "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n12\r\ndata: 1\n\n")
	client.head()
	client.Hear(chunk("data: 1\n\n"))
	b.Advance(15 * time.Second)
	client.Hear(chunk(":\n\n"))
	server.Say("data: 2\n\n\r\n0\r\nX-T: 1\r\n")
	client.Hear(chunk("data: 2\n\n") + "0\r\nX-T: 1\r\n")
	b.Advance(15 * time.Second) // within the trailers there are no comments
	server.Say("\r\n")
	client.Hear("\r\n")
	client.Say(get("/next"))
	server.request()
	server.answer("fine")
	client.wantStatus("GET", 200)
}

// A byte order mark behind a comment is none any more: it is taken off, so that the
// first event is read.
func TestMarkBehindAComment(t *testing.T) {
	t.Parallel()
	b, client, server := startExchange(t, get("/"), withComments)
	server.Say(streamHead + "\r\n")
	client.head()
	b.Advance(15 * time.Second)
	client.Hear(chunk(":\n\n"))
	server.Say("\ufeffdata: 1\n\n")
	client.Hear(chunk("data: 1\n\n"))
	client.Reset()
	server.HearReset()
}

// These answers get no comments: they would be wrong, or break what their server
// promised.
func TestNoComments(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]string{
		"length":           "Content-Type: text/event-stream\r\nContent-Length: 1000\r\n",
		"compressed":       "Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
		"digest":           "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nTrailer: Repr-Digest\r\n",
		"signed":           "Content-Type: text/event-stream\r\nSignature: sig1=:AA==:\r\nTransfer-Encoding: chunked\r\n",
		"no stream":        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
		"an error's text":  "Content-Type: text/plain\r\n",
		"compressed, open": "Content-Type: text/event-stream\r\nContent-Encoding: br\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, client, server := startExchange(t, get("/", "MCP-Protocol-Version: 2026-07-28"), withComments)
			server.Say("HTTP/1.1 200 OK\r\n" + fields + "\r\n")
			client.head()
			before := b.frontend.Totals().BytesOut
			for range 3 {
				b.Advance(15 * time.Second)
			}
			if after := b.frontend.Totals().BytesOut; after != before {
				t.Errorf("%d bytes were sent", after-before)
			}
			client.Reset()
			server.HearReset()
		})
	}
}

// Comments keep the client's limit from ending a stream, but not the server's: a server
// that died without a word is noticed as if there were none.
func TestCommentsAndLimits(t *testing.T) {
	t.Parallel()
	b, client, server := startExchange(t, get("/"), withComments) // timeout_client 50 s, timeout_server 80 s
	server.Say(streamHead + "\r\n")
	client.head()
	for range 5 {
		b.Advance(15 * time.Second)
		client.Hear(chunk(":\n\n"))
	}
	b.Advance(10 * time.Second)
	b.expect(session.IdleTimeout, 1)
	client.HearEnd()
	server.HearReset()
}

// A client that takes nothing gets no comments: they would pile up for it.
func TestCommentsDoNotPileUp(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withComments, narrow, func(s *setup) { s.frontend.TimeoutClient, s.backends[0].TimeoutServer = 0, 0 })
	caller := b.dialNarrow()
	server := s.receiveHead(caller, get("/"))
	server.Say(streamHead + "Transfer-Encoding: chunked\r\n\r\n")
	written := make(chan error, 1) // how writing ended
	go func() {
		for {
			if _, err := server.Write([]byte(chunk(strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n\n", 32)))); err != nil {
				written <- err
				return
			}
		}
	}()
	b.Eventually("bytes are parked for the client", func() (parked bool) {
		b.each(func(c *client) { parked = c.Conn.Parked() > 0 && c.Conn.Blocked() })
		return parked
	})
	before := b.frontend.Totals().BytesOut
	for range 10 {
		b.Advance(15 * time.Second)
	}
	if after := b.frontend.Totals().BytesOut; after != before {
		t.Errorf("%d bytes were sent to a client that takes none", after-before)
	}
	caller.Reset()
	<-written // fails: the server's connection is cut
}

// A stream that is handed over goes on to be kept alive, in the state that it was in:
// also where the new process has other settings.
func TestKeepaliveIsHandedOver(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"", "data: 1\r\n\r\n", "data: 1\r\n\r", "data: 1\r\n", "\xef\xbb\xbf"} {
		for _, inSession := range []string{"", "Mcp-Session-Id: x"} {
			t.Run(fmt.Sprintf("%q %s", first, inSession), func(t *testing.T) {
				t.Parallel()
				b, client, server := startExchange(t, rpcPost("1", inSession), withComments, oneLoop, withoutLog)
				server.Say(streamHead + "\r\n" + first)
				client.head()
				if first != "" {
					client.Hear(chunk(first))
				}
				changed := *b.frontend.Settings()
				changed.Frontend.SSEKeepalive = 0
				b.frontend.Apply(changed)
				b.handOver()
				b.Advance(15 * time.Second)
				switch first {
				case "", "\xef\xbb\xbf":
					client.Hear(chunk(":\n\n"))
				case "data: 1\r\n\r\n":
					client.Hear(chunk(":\r\n\r\n"))
				}
				server.Say("\ndata: 2\n\n")
				client.Hear(chunk("\ndata: 2\n\n"))
				b.Advance(15 * time.Second)
				client.Hear(chunk(":\n\n"))
				client.Reset()
				server.HearReset()
			})
		}
	}
}

// A reload changes the comments of streams that begin later.
func TestKeepaliveIsReloaded(t *testing.T) {
	t.Parallel()
	b, client, server := startExchange(t, get("/"), times)
	changed := *b.frontend.Settings()
	changed.Frontend.SSEKeepalive = 20 * time.Second
	b.frontend.Apply(changed)
	server.Say(streamHead + "\r\n")
	client.head()
	b.Advance(20 * time.Second)
	client.Hear(chunk(":\n\n"))
	client.Reset()
	server.HearReset()
}
