package l7

import (
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
	"mcplb/proxy/rules"
)

// bodyReader reads the body of a request for the rules of its frontend. It belongs to a
// worker, and to one exchange at a time.
type bodyReader struct {
	mcp.Reader
	coding   mcp.Coding
	inflater *mcp.Inflater // made when the first compressed body comes
	decoded  []byte        // where that writes; the input may be in the loop's buffer
	fault    mcp.Fault     // of the head
}

// Feed takes the next bytes of the body. Of one that is compressed nothing can be read
// before its end.
func (r *bodyReader) Feed(p []byte) {
	if r.coding == mcp.CodingNone {
		r.Reader.Feed(p)
	}
}

// begin begins the body of the request with the head given.
func (r *bodyReader) begin(head *http1.RequestHead) {
	r.Reset()
	r.fault, r.coding = mcp.FaultNone, mcp.CodingOf(head.Get(http1.HeaderContentEncoding))
	if r.coding == mcp.CodingUnknown || head.Repeated(http1.HeaderContentEncoding) {
		r.fault = mcp.FaultCoding
	}
	if head.Repeated(http1.HeaderContentType) || !mcp.IsUTF8(head.Get(http1.HeaderContentType)) {
		r.fault = mcp.FaultEncoding
	}
}

// broken is what is wrong with the body as far as it has come.
func (r *bodyReader) broken() mcp.Fault {
	if r.fault != mcp.FaultNone {
		return r.fault
	}
	return r.Fault()
}

// bodyReaders are free ones of a loop.
type bodyReaders []*bodyReader

// mostReaders is how many free ones are kept: each may have up to 100 KB.
const mostReaders = 16

func (rs *bodyReaders) get() *bodyReader {
	last := len(*rs) - 1
	if last < 0 {
		return new(bodyReader)
	}
	r := (*rs)[last]
	*rs = (*rs)[:last]
	return r
}

func (rs *bodyReaders) put(r *bodyReader) {
	if r != nil && len(*rs) < mostReaders {
		*rs = append(*rs, r)
	}
}

// inspect begins to read the body of the request that is the input: its route, or
// whether it is denied, depends on what its messages ask for. It is collected, and goes
// nowhere before it is judged. d is what is known without it.
func (x router) inspect(settings *Settings, d rules.Decision) {
	c := x.client
	head := &c.worker.request
	x.take(settings, d.Route)
	most := settings.mostInspected(x.route)
	switch {
	case !originAllowed(settings.Frontend.AllowedOrigins, head):
		x.refuse(generated{why: OriginRefused})
		return
	case most > 0 && head.Framing == http1.FramingLength && head.Length > most:
		x.refuse(generated{why: BodyTooLarge})
		return
	}
	r := c.worker.readers.get()
	r.begin(head)
	x.needCall().reading = r
	in := &c.worker.input
	size, reason := x.request.scan(in.p[in.n:], r)
	if x.inspected(settings, reason) {
		return
	}
	c.keepBody()
	x.state, x.dispatch.Since = inspecting, c.loop().Now()
	intake(x).beginPace(size)
	if !intake(x).askForBody() {
		return
	}
	c.arm()
	x.inspectMore()
}

// askForBody asks a client for its body that waits to be asked, and reports whether the
// client is still there.
func (x intake) askForBody() bool {
	if !x.has(waiting) || x.has(oldClient|continued) {
		return true
	}
	x.Flags |= continued
	return x.client.send([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
}

// inspectMore reads what has come of the body.
func (x router) inspectMore() {
	c := x.client
	for moved := 0; x.state == inspecting && c.down().Readable(); {
		if moved >= reactor.Budget {
			c.down().Yield()
			return
		}
		p := c.readBody()
		if p == nil {
			return
		}
		forRules := x.call != nil && x.call.reading != nil
		var reader interface{ Feed([]byte) } = unread{}
		if forRules {
			reader = x.call.reading
		}
		size, reason := x.request.scan(p, reader)
		moved += size
		x.pace.got += int64(size)
		x.dispatch.Since = c.loop().Now()
		c.loop().Append(&c.pending, p)
		if forRules {
			x.inspected(c.settings(), reason)
		} else {
			tasks(x).arrived(reason)
		}
	}
}

// inspected continues if the body is read to its end, or cannot be; reason is what is
// wrong with its coding.
func (x router) inspected(settings *Settings, reason http1.Reason) (done bool) {
	r := x.call.reading
	most := settings.mostInspected(x.route)
	switch fault := r.broken(); {
	case reason != http1.ReasonNone:
		x.client.counters().Malformed[reason].Add(1)
		x.client.Closes = true
		x.refuseRead(generated{why: BadRequest, malformed: reason})
	case most > 0 && x.request.size() > most:
		x.refuseRead(generated{why: BodyTooLarge})
	case fault != mcp.FaultNone:
		x.unreadable(fault)
	case x.request.Done:
		x.judge(settings, most)
	default:
		return false
	}
	return true
}

// unreadable refuses a request whose body a rule would have to read, and cannot.
func (x router) unreadable(fault mcp.Fault) {
	x.refuseRead(generated{why: BadRequest, text: fault.Text(), detail: "body_" + fault.String()})
}

// judge decides about a request whose body has been read to its end.
func (x router) judge(settings *Settings, most int64) {
	c := x.client
	c.HalfOpen = c.HalfOpen || c.down().HungUp()
	if x.state == inspecting && !x.reparse() {
		return
	}
	x.state = idle
	x.beginBody()
	r := x.call.reading
	if r.coding != mcp.CodingNone && x.inflate(most) {
		x.refuseRead(generated{why: BodyTooLarge})
		return
	}
	if fault := r.End(); fault != mcp.FaultNone {
		x.unreadable(fault)
		return
	}
	x.match(settings) // makes the request, whose messages are known now
	w := c.worker
	d := settings.matcher.MatchBody(&w.ruled, &w.matching, tasks(x).named(r.Calls()), &w.taken)
	if first, ok := r.First(); ok {
		x.setCall(first.Method, first.Name)
		x.set(bodyIsRPC, len(first.Method) > 0)
	}
	x.dropBody()
	x.take(settings, d.Route)
	x.countRoute()
	switch {
	case d.Refused != rules.Readable:
		x.refuse(generated{why: BadRequest, text: d.Refused.Text(), detail: d.Refused.String()})
	case d.Denied:
		x.refuse(generated{why: Denied})
	default:
		x.proceed(settings)
	}
}

// mostInflated is how long a compressed body may be where max_body sets no limit.
const mostInflated = 64 << 20

// inflate reads the compressed body of the request that is the input, and reports
// whether it is longer than it may be.
func (x router) inflate(most int64) (tooLong bool) {
	w := x.client.worker
	var body collected
	framed := x.request // a copy: it is read again when the body is forwarded
	framed.scan(w.input.p[w.input.n:], &body)
	return x.call.reading.inflate(body, most)
}

// inflate reads a compressed body, and reports whether it is longer than it may be.
func (r *bodyReader) inflate(body []byte, most int64) (tooLong bool) {
	if r.inflater == nil {
		r.inflater, r.decoded = new(mcp.Inflater), make([]byte, 16<<10)
	}
	if most == 0 {
		most = mostInflated
	}
	r.inflater.Begin(r.coding, body, most)
	for done := false; !done; {
		done, tooLong = r.inflater.Step(&r.Reader, r.decoded)
	}
	return tooLong
}

// collected is the data of a body.
type collected []byte

func (c *collected) Feed(p []byte) { *c = append(*c, p...) }
