package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/session"
)

// refuseHead answers a request of which not even the head is good, or complete,
// and closes.
func (x *exchange) refuseHead(g generated) {
	x.Flags, x.Method = 0, http1.MethodOther
	x.client.Closes = true
	x.respond(g, nil)
}

// refuse answers the request that is the input before it was forwarded. The
// connection continues if the request is there to its end; for the end of a
// JSON-RPC request, which is about to come, the response waits, for its id.
func (x *exchange) refuse(g generated) {
	c := x.client
	in := &c.worker.input
	x.dispatch.Release(x.loop(), backend.Aborted)
	router{x}.noteFields(c.settings())
	_, size, reason := c.worker.pass(&x.request, in.p[in.n:])
	scanner := refuser{x}.scanned(in.p[in.n : in.n+size])
	switch {
	case reason != http1.ReasonNone:
		c.Closes = true
	case x.request.Done:
		c.leave(in, in.n+size)
	case refuser{x}.waitsFor(g):
		x.refusal = &refusal{generated: g, scanner: *scanner, taken: size}
		c.leave(in, in.n+size)
		c.state, x.state, x.dispatch.Since = busy, refusing, x.loop().Now()
		c.arm()
		refuser{x}.drainBody()
		return
	default:
		c.Closes = true
	}
	x.respond(g, scanner.ID())
}

// refuser reads what is left of a request that is refused. It is a part of its
// exchange.
type refuser struct{ *exchange }

// refusal is a generated response that waits for the end of its request.
type refusal struct {
	generated
	scanner mcp.BodyScanner
	taken   int // bytes of the body
}

// waitsFor reports whether a response is to wait for the end of the request that
// is parsed: a JSON-RPC request, not larger than is looked at, whose client
// sends it without being asked.
func (x refuser) waitsFor(g generated) bool {
	head := &x.client.worker.request
	return x.Flags&(rpc|waiting) == rpc && g.why != BodyTooLarge && g.why != Responded && g.why != Redirected &&
		(head.Framing != http1.FramingLength || head.Length <= mcp.MaxBodyScan)
}

// scanned looks for the id of a JSON-RPC request in the beginning of its body,
// as it came behind the head that is parsed. The scanner is good until the next
// call.
func (x refuser) scanned(p []byte) *mcp.BodyScanner {
	w := x.client.worker
	w.scanner.Reset()
	if x.has(rpc) {
		var data Body // without the chunks
		data.begin(w.request.Framing, w.request.Length, http1.TrailersDrop)
		data.scan(p, &w.scanner)
	}
	return &w.scanner
}

// drainBody reads the rest of a request that is refused, and then responds.
func (x refuser) drainBody() {
	c := x.client
	for x.state == refusing {
		if !c.down().Readable() {
			return
		}
		p := c.readBody()
		if p == nil {
			return
		}
		r := x.refusal
		size, reason := x.request.scan(p, &r.scanner)
		r.taken += size
		switch {
		case reason != http1.ReasonNone || !x.request.Done && r.taken > mcp.MaxBodyScan:
			c.Closes = true
		case !x.request.Done:
			continue
		default:
			c.leave(&input{p: p}, size)
		}
		x.respond(r.generated, r.scanner.ID())
	}
}

// end ends the exchange under way by a generated response; where the server's has
// begun, that is cut off for the reason given. What of the request is still to
// come is not waited for.
func (x *exchange) end(g generated, reason session.Reason) {
	c := x.client
	if x.has(answered) {
		c.cut(reason)
		return
	}
	var id []byte
	if p := x.replay.Bytes(); x.has(rpc) {
		var scan http1.Scan
		if n, _ := c.worker.request.Parse(p, &scan, http1.MaxHead); n > 0 {
			id = refuser{x}.scanned(p[n:]).ID()
		}
	}
	c.Closes = c.Closes || !x.request.Done
	x.abandon(backend.Aborted)
	x.respond(g, id)
}

// respond sends a generated response, and continues with the next request, or
// closes.
func (x *exchange) respond(g generated, id []byte) {
	c := x.client
	recorder{x}.logGenerated(&g)
	x.answeredCall(g.code())
	counters := c.counters()
	counters.Own[g.why].Add(1)
	counters.Status[backend.ClassOf(g.code())].Add(1)
	settings := c.settings()
	to := recipient{
		exchange: x, cors: &settings.cors, pages: settings.pages, origin: x.origin, id: id, head: x.Method == http1.MethodHead, keepAlive: !c.Closes,
		// The client of a lost session looks for this error, whatever it asked.
		plain: !x.has(rpc) && g.why != SessionGone,
	}
	out := g.append(c.worker.out[:0], c.worker.now(), to)
	c.worker.out = out[:0]
	c.state, x.state = reading, idle // where an error of the connection is the client's end
	if !c.send(out) {
		return
	}
	recorder{x}.logEnded()
	x.forget()
	if c.Closes {
		c.close()
		return
	}
	c.next()
}
