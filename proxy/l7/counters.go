package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/metrics"
	"mcplb/proxy/session"
)

// Counters are what one loop has counted for one frontend. The loop adds; any
// goroutine may read.
type Counters struct {
	Taken       session.Counters                  // clients' connections and their bytes; messages are requests
	Requests    metrics.Counter                   // whose head was complete
	Status      backend.Classes                   // responses by status class: [2] is 2xx; with generated ones
	Own         [own]metrics.Counter              // responses that the balancer generated, by cause
	Malformed   [http1.NumReasons]metrics.Counter // requests refused as malformed, by what is wrong
	Eras        [mcp.NumEras]metrics.Counter      // JSON-RPC requests by era
	Methods     [mcp.NumMethods]metrics.Counter   // requests by Mcp-Method; those without it are not counted
	WithSession metrics.Counter                   // requests with an MCP session
	Opened      metrics.Counter                   // MCP sessions that servers opened
	WithTask    metrics.Counter                   // requests for a task with a server's tag
	TasksOpened metrics.Counter                   // ids of created tasks that got a tag
	Tunnels     metrics.Counter                   // connections that became WebSockets
	BadFrames   metrics.Counter                   // WebSockets that ended because the client sent a malformed frame
	Zipped      metrics.Counter                   // responses compressed
}

// Visit implements metrics.Set.
func (c *Counters) Visit(v metrics.Visitor) {
	c.Taken.Visit(v)
	v.Counter("Requests", &c.Requests)
	v.Counters("Status", c.Status[:])
	v.Counters("Own", c.Own[:])
	v.Counters("Malformed", c.Malformed[:])
	v.Counters("Eras", c.Eras[:])
	v.Counters("Methods", c.Methods[:])
	v.Counter("WithSession", &c.WithSession)
	v.Counter("Opened", &c.Opened)
	v.Counter("WithTask", &c.WithTask)
	v.Counter("TasksOpened", &c.TasksOpened)
	v.Counter("Tunnels", &c.Tunnels)
	v.Counter("BadFrames", &c.BadFrames)
	v.Counter("Zipped", &c.Zipped)
}

// countRequest counts the request whose head is parsed.
func (x recorder) countRequest() {
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

// countAnswer counts the server's response that head begins, and how long the
// server took.
func (x recorder) countAnswer(head *http1.ResponseHead) {
	class := backend.ClassOf(head.Status)
	counters := x.client.counters()
	counters.Status[class].Add(1)
	counters.Taken.MessagesOut.Add(1)
	x.upstreamPool.counters.Responses[class].Add(1)
	x.upstreamPool.counters.Response.Add(x.loop().Now() - x.Sent)
	x.answeredCall(head.Status)
	x.logAnswer(head.Status)
}

// countIn counts bytes from the client.
func (c *client) countIn(n int) { c.counters().Taken.BytesIn.Add(uint64(n)) }

// countSent counts bytes of a request's body on their way to the server.
func (x recorder) countSent(n int) {
	x.upstreamPool.counters.BytesIn.Add(uint64(n))
	if x.log != nil {
		x.log.BytesIn += uint64(n)
	}
}

// Totals are the sums of a frontend's counters over the loops. Every label is
// present from the start, if only with 0; Methods has only those that occurred.
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
	WithTask    uint64
	TasksOpened uint64
	Tunnels     uint64
	BadFrames   uint64
	Zipped      uint64
}

// Totals returns the sums of the frontend's counters. Any goroutine may call it.
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
	t.WithTask += c.WithTask.Load()
	t.TasksOpened += c.TasksOpened.Load()
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

// Idle returns the number of idle connections to server, over all loops. Any
// goroutine may call it.
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
