package l7

import (
	"sync/atomic"

	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/session"
)

// Counters are what one loop has counted for one frontend. Only that loop
// adds; anybody may read.
type Counters struct {
	Taken       session.Counters                // of clients' connections and their bytes; messages are requests
	Requests    atomic.Uint64                   // whose head was read whole
	Status      backend.Classes                 // answers by class: [2] is 2xx; those of the balancer's own among them
	Own         [own]atomic.Uint64              // answers of the balancer's own, by why
	Malformed   [http1.NumReasons]atomic.Uint64 // requests refused as malformed, by what is wrong
	Eras        [mcp.NumEras]atomic.Uint64      // JSON-RPC requests by era
	Methods     [mcp.NumMethods]atomic.Uint64   // requests by Mcp-Method; those without it are not counted
	WithSession atomic.Uint64                   // requests that bore an MCP session
	Opened      atomic.Uint64                   // MCP sessions that servers opened
	Tunnels     atomic.Uint64                   // connections that became WebSockets
	BadFrames   atomic.Uint64                   // WebSockets that ended for a malformed frame of the client's
	Zipped      atomic.Uint64                   // answers compressed
}

// countRequest counts the request whose head is parsed.
func (x *exchange) countRequest() {
	counters, head := x.client.counters(), &x.client.worker.request
	counters.Requests.Add(1)
	counters.Taken.MessagesIn.Add(1)
	era := mcp.EraSession
	if x.has(modern) {
		era = mcp.EraStateless
	}
	if x.has(rpc) {
		counters.Eras[era].Add(1)
	}
	if head.Has(http1.HeaderMcpMethod) {
		counters.Methods[mcp.MethodOf(head.Get(http1.HeaderMcpMethod))].Add(1)
	}
}

// countAnswer counts the server's answer whose head is parsed, and how long the
// server took.
func (x *exchange) countAnswer(head *http1.ResponseHead) {
	class := head.Status / 100
	counters := x.client.counters()
	counters.Status[class].Add(1)
	counters.Taken.MessagesOut.Add(1)
	x.upstreamPool.counters.Responses[class].Add(1)
	x.upstreamPool.counters.Response.Add(x.loop().Now() - x.Sent)
	x.logAnswer(head.Status)
}

// countIn counts bytes from the client.
func (c *client) countIn(n int) { c.counters().Taken.BytesIn.Add(uint64(n)) }

// countSent counts bytes of a request's body on their way to the server.
func (x *exchange) countSent(n int) {
	x.upstreamPool.counters.BytesIn.Add(uint64(n))
	if x.log != nil {
		x.log.BytesIn += uint64(n)
	}
}

// Totals are a frontend's counters, summed over the loops. The zero values are
// there, so that every label exists from the start; but Methods has those only
// that were met.
type Totals struct {
	session.Totals
	Requests    uint64
	Status      map[string]uint64 // by class: "2xx"
	Own         map[string]uint64 // by Why
	Malformed   map[string]uint64 // by http1.Reason
	Eras        map[string]uint64 // by mcp.Era
	Methods     map[string]uint64 // by mcp.Method
	WithSession uint64
	Opened      uint64
	Tunnels     uint64
	BadFrames   uint64
	Zipped      uint64
}

// Totals sums the frontend's counters.
func (f *Frontend) Totals() Totals {
	t := Totals{
		Totals: session.NewTotals(), Status: map[string]uint64{}, Own: map[string]uint64{},
		Malformed: map[string]uint64{}, Eras: map[string]uint64{}, Methods: map[string]uint64{},
	}
	for i := range f.Loops {
		t.add(f.Counters(i))
	}
	return t
}

func (t *Totals) add(c *Counters) {
	t.Totals.Add(&c.Taken)
	t.Requests += c.Requests.Load()
	t.WithSession += c.WithSession.Load()
	t.Opened += c.Opened.Load()
	t.Tunnels += c.Tunnels.Load()
	t.BadFrames += c.BadFrames.Load()
	t.Zipped += c.Zipped.Load()
	for class := 1; class < len(c.Status); class++ {
		t.Status[backend.ClassName(class)] += c.Status[class].Load()
	}
	for why := range own {
		t.Own[why.String()] += c.Own[why].Load()
	}
	for reason := http1.ReasonNone + 1; reason < http1.NumReasons; reason++ {
		t.Malformed[reason.String()] += c.Malformed[reason].Load()
	}
	for era := range mcp.NumEras {
		t.Eras[era.String()] += c.Eras[era].Load()
	}
	for method := range mcp.NumMethods {
		if n := c.Methods[method].Load(); n > 0 {
			t.Methods[method.String()] += n
		}
	}
}

// Idle returns how many kept-alive connections to a server are idle, on all
// loops. Any goroutine may call it.
func (ws Workers) Idle(server *backend.Server) int {
	idle := 0
	for _, w := range ws {
		w.mu.Lock()
		o := w.pools[server]
		w.mu.Unlock()
		if o != nil {
			idle += int(o.waits.Load())
		}
	}
	return idle
}
