package l7

import (
	"fmt"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/proxy/mcp"
)

// The sessions of a server are those that were opened or used, until they are deleted, the
// server knows them no longer, or nobody has used them for session_seen: an operator waits
// for them before a deploy.
func TestSessionsLeft(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop, withStoppedTime, withBackend(func(b *conf.Backend) { b.SessionSeen, b.TimeoutIdle = time.Minute, 0 }),
		withFrontend(func(f *conf.Frontend) { f.TimeoutKeepalive, f.TimeoutClient = 0, 0 }))
	one := b.pool.Servers()[0]
	client := b.dial()
	var server *httpConn
	ask := func(request, method string, status int, fields string, want int) (id string) {
		t.Helper()
		client.Say(request)
		if server == nil {
			server = s.next()
		}
		server.request()
		server.Say(fmt.Sprintf("HTTP/1.1 %d X\r\n%sContent-Length: 0\r\n\r\n", status, fields))
		r, _ := client.wantStatus(method, status)
		if got := one.Sessions(b.Engine.Now()); got != want {
			t.Errorf("after %.40q and %d: %d sessions, want %d", request, status, got, want)
		}
		return r.Header.Get("Mcp-Session-Id")
	}
	ask(rpcPost("1"), "POST", 200, "", 0)
	first := "Mcp-Session-Id: " + ask(rpcPost("1"), "POST", 200, "Mcp-Session-Id: a\r\n", 1)
	second := "Mcp-Session-Id: " + ask(rpcPost("1"), "POST", 200, "Mcp-Session-Id: b\r\n", 2)
	ask(rpcPost("1", first), "POST", 200, "", 2)
	ask(rpcPost("1", "Mcp-Session-Id: untagged"), "POST", 400, "", 2)
	inQuery := "/m?sessionId=12&mcplb_tag=" + mcp.TagOf(one.Name()).String()
	ask(post(inQuery, rpcBody("1"), "Mcp-Session-Id: mine"), "POST", 202, "", 2) // of the deprecated transport, which is not counted
	other := "Mcp-Session-Id: " + ask(rpcPost("1", second), "POST", 200, "Mcp-Session-Id: c\r\n", 3)
	remove := func(field string) string { return "DELETE /mcp HTTP/1.1\r\nHost: x\r\n" + field + "\r\n\r\n" }
	ask(remove(other), "DELETE", 204, "", 2)
	ask(remove(first), "DELETE", 405, "", 2)
	ask(remove(first), "DELETE", 204, "", 1)
	ask(rpcPost("1", first), "POST", 404, "", 1)
	ask(rpcPost("1", second), "POST", 500, "", 1)
	b.Advance(50 * time.Second)
	ask(rpcPost("1", second), "POST", 202, "", 1)
	b.Advance(50 * time.Second)
	if got := one.Sessions(b.Engine.Now()); got != 1 {
		t.Errorf("%d sessions 50 s after the last request", got)
	}
	b.Advance(20 * time.Second)
	if got := one.Sessions(b.Engine.Now()); got != 0 {
		t.Errorf("%d sessions 70 s after the last request", got)
	}
	ask(rpcPost("1", second, "MCP-Protocol-Version: 2026-07-28"), "POST", 200, "", 0) // no session means anything there
	client.Close()
}

// A session is in use as long as its event stream is open, and counts from its end on; not
// so one that was deleted meanwhile.
func TestSessionOfStream(t *testing.T) {
	t.Parallel()
	for _, deleted := range []bool{false, true} {
		b, s := startServed(t, oneLoop, withStoppedTime, withBackend(func(b *conf.Backend) { b.SessionSeen, b.TimeoutServer = time.Minute, 0 }),
			withFrontend(func(f *conf.Frontend) { f.TimeoutKeepalive, f.TimeoutClient = 0, 0 }))
		one := b.pool.Servers()[0]
		client, server := b.pair(s, rpcPost("1"))
		server.answer("", "Mcp-Session-Id: a")
		r, _ := client.wantStatus("POST", 200)
		session := "Mcp-Session-Id: " + r.Header.Get("Mcp-Session-Id")
		client.Say(get("/mcp", session, "Accept: text/event-stream"))
		server.request()
		server.Say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		client.head()
		b.Advance(5 * time.Minute)
		if one.Sessions(b.Engine.Now()) != 0 || one.Empty(b.Engine.Now()) {
			t.Error("a server with an open stream is empty")
		}
		want := 1
		if deleted {
			want = 0
			other, second := b.pair(s, "DELETE /mcp HTTP/1.1\r\nHost: x\r\n"+session+"\r\n\r\n")
			second.Say("HTTP/1.1 204 X\r\n\r\n")
			other.wantStatus("DELETE", 204)
			other.Close()
		}
		server.Say("0\r\n\r\n")
		b.Eventually("the stream has ended", func() bool { return one.Conns() == 0 })
		if got := one.Sessions(b.Engine.Now()); got != want {
			t.Errorf("deleted %v: %d sessions after the stream, want %d", deleted, got, want)
		}
		client.Close()
	}
}
