package l7

import (
	"fmt"
	"testing"
	"unsafe"

	"mcplb/proxy/http2"
	"mcplb/proxy/reactor"
)

// An idle connection of HTTP/2 costs at most 3 KB: itself, its socket, and what package http2
// keeps for it (see TestRest there, which has the table of a client that sent requests).
// Nothing else is left of the requests that it has had.
func TestMemoryOfAnIdleMultiplexer(t *testing.T) {
	t.Parallel()
	const mostOfHTTP2, most = 1700, 3 << 10
	size := int(unsafe.Sizeof(multiplexer{})-unsafe.Sizeof(http2.Conn{})+unsafe.Sizeof(reactor.Conn{})) + mostOfHTTP2
	if t.Logf("an idle connection holds %d bytes at most", size); size > most {
		t.Errorf("an idle connection holds %d bytes, want at most %d", size, most)
	}
	b := start(t, []string{fixed(t, toolsAnswer)}, overHTTP2, oneLoop)
	p := b.peer()
	for id := uint32(1); id < 60; id += 2 {
		p.rpcOpen(id, "1", "user-agent", "a client of the usual kind", "mcp-session-id", fmt.Sprint("session ", id))
		p.want(id, fmt.Sprintf("200 %d END_STREAM", len(toolsBody)))
	}
	b.Eventually("the connection is idle", func() bool {
		idle := false
		b.eachMultiplexer(func(m *multiplexer) { idle = len(m.http2.Streams()) == 0 && m.output.Len() == 0 })
		return idle
	})
	b.eachMultiplexer(func(m *multiplexer) {
		if n := m.input.Len() + m.output.Len() + m.parked + m.Conn.Parked(); n != 0 {
			t.Errorf("an idle connection keeps %d bytes of its requests", n)
		}
	})
	p.Finish()
}
