package l7

import (
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// Task affinity: what a stateless request for a task has to do with the server that
// holds it (SEP-2663). The id of a task bears its server's tag wherever a client sees
// it, as that of a session does:
//
//	tools/call             its result may be a task: the id gets the tag
//	tasks/get, update,     the body is read, the tag says which server, and is taken off;
//	cancel, subscriptions/ in the response, ids get the tag again
//	listen
//
// The headers Mcp-Method and MCP-Protocol-Version say which requests these are: servers
// refuse those that contradict the body. Others are neither read nor watched.

// tasks is what an exchange has to do with tasks: a part of it.
type tasks struct{ *exchange }

// mostHeldAnswer is how long a response with a Content-Length may be that is held back
// until it is complete, so that it gets the right one. That of a longer one is replaced
// by the chunked coding.
const mostHeldAnswer = 16 << 10

// note notes whether the request, which is parsed, may create a task, or is for one.
func (x tasks) note(settings *Settings) {
	head := &x.client.worker.request
	if !x.has(modern) || x.Method != http1.MethodPost || !settings.Frontend.Sticky.Session || head.Repeated(http1.HeaderMcpMethod) {
		return
	}
	switch mcp.MethodOf(head.Get(http1.HeaderMcpMethod)) {
	case mcp.MethodToolsCall:
		x.Flags |= mayCreateTask
	case mcp.MethodTasksGet, mcp.MethodTasksUpdate, mcp.MethodTasksCancel, mcp.MethodSubscriptionsListen:
		x.Flags |= forTask
	}
}

// named are the calls of a body that was read for the rules, with the names that the
// server gets: a rule for a task must not be passed by a tag.
func (x tasks) named(calls []mcp.Call) []mcp.Call {
	for i := range calls {
		if x.has(forTask) {
			calls[i].Name, _, _ = mcp.SplitTagged(calls[i].Name)
		}
	}
	return calls
}

// await begins to read the body of a request for a task, which is the input, and
// reports whether more of it has to come.
func (x tasks) await() bool {
	c := x.client
	in := &c.worker.input
	size, reason := x.request.scan(in.p[in.n:], unread{})
	if x.request.Done || reason != http1.ReasonNone {
		router(x).beginBody()
		return false
	}
	c.keepBody()
	x.state, x.dispatch.Since = inspecting, c.loop().Now()
	intake(x).beginPace(size)
	if intake(x).askForBody() {
		c.arm()
		router(x).inspectMore()
	}
	return true
}

// unread throws data away.
type unread struct{}

func (unread) Feed([]byte) {}

// arrived continues once the body has come to its end, or is too long; reason is what
// is wrong with its coding.
func (x tasks) arrived(reason http1.Reason) {
	switch most := x.route.maxBody; {
	case reason != http1.ReasonNone:
		x.client.counters().Malformed[reason].Add(1)
		x.client.Closes = true
		router(x).refuseRead(generated{why: BadRequest, malformed: reason})
	case most > 0 && x.request.size() > most:
		router(x).refuseRead(generated{why: BodyTooLarge})
	case x.request.Done && x.reparse():
		x.client.HalfOpen = x.client.HalfOpen || x.client.down().HungUp()
		x.state = idle
		router(x).beginBody()
		router(x).askForServer(x.client.settings())
	}
}

// texts of refusals.
const (
	textSeveralServers = "these tasks are on several servers: send one request for the tasks of each"
	textTaskCoding     = "a request for a task must not have a Content-Encoding: send its body as it is"
)

// task binds a request for a task to the server that the tag of its id names. Ids
// without a tag come from no mcplb: the policy decides. A batch, or a subscription, can
// go to one server alone.
func (a *affinity) task() (refusal generated, ok bool) {
	x := a.exchange
	if !x.has(forTask) {
		return generated{}, true
	}
	tag, found, several := tasks{x}.tag()
	head := &x.client.worker.request
	switch {
	case several:
		return generated{why: BadRequest, text: textSeveralServers, detail: "tasks_several_servers"}, false
	case !found:
		return generated{}, true
	case mcp.CodingOf(head.Get(http1.HeaderContentEncoding)) != mcp.CodingNone:
		return generated{why: BadRequest, text: textTaskCoding, detail: "task_coding"}, false
	}
	if len(x.dispatch.Tried()) == 0 {
		x.client.counters().WithTask.Add(1)
	}
	server := a.route.tags[tag]
	switch {
	case server == nil:
		return generated{why: TaskGone}, false
	case !server.State().TakesBound():
		return generated{why: TaskUnreachable}, false
	}
	x.Flags |= tagged
	x.bound, a.request.Bound, a.request.Tried = server, server, nil
	return generated{}, true
}

// tag is the tag that the ids of the request have, which is the input; several says that
// they have different ones.
func (x tasks) tag() (tag mcp.Tag, found, several bool) {
	w := x.client.worker
	head := &w.request
	w.taskTags = mcp.AppendTaskTags(w.taskTags[:0], x.body())
	for _, t := range w.taskTags {
		several = several || found && t.Tag != tag
		tag, found = t.Tag, true
	}
	for i := head.Find(http1.HeaderMcpName, 0); i >= 0; i = head.Find(http1.HeaderMcpName, i+1) {
		var t mcp.Tag
		var ok bool
		if w.name, t, ok = mcp.SplitTaskName(w.name[:0], head.Value(i)); ok {
			several = several || found && t != tag
			tag, found = t, true
		}
	}
	return tag, found, several
}

// body is the data of the body of the request that is the input, and complete.
func (x tasks) body() []byte {
	w := x.client.worker
	head, p := &w.request, w.input.p[w.input.n:]
	if head.Framing == http1.FramingLength {
		return p[:min(int64(len(p)), head.Length)]
	}
	data := collected(w.taskBody[:0])
	var framed Body
	framed.begin(head.Framing, head.Length, http1.TrailersDrop)
	framed.scan(p, &data)
	w.taskBody = data[:0]
	return data
}

// beginSending prepares the request, which is the input, for its server: where in the
// body its tags stand.
func (x tasks) beginSending() {
	router(x).beginBody()
	c := x.needCall()
	c.cuts, c.sent = mcp.AppendTaskTags(c.cuts[:0], x.body()), 0
}

// length is the Content-Length that the server gets.
func (x tasks) length() int64 {
	n := x.client.worker.request.Length
	for _, cut := range x.call.cuts {
		n -= int64(cut.End - cut.Start)
	}
	return n
}

// pass is worker.pass for the body of a request whose tags are taken off: out is good
// until the worker passes or encodes the next piece. Trailers are dropped.
func (x tasks) pass(p []byte) (out []byte, n int, reason http1.Reason) {
	w, b := x.client.worker, &x.request
	chunked := b.chunked()
	out = w.made[:0]
	for n < len(p) && !b.Done && reason == http1.ReasonNone {
		var data []byte
		var size int
		if b.inTrailers() {
			_, size, reason = b.Chunked.Next(p[n:])
			b.Done = b.Chunked.Done()
		} else {
			data, size, reason = b.next(p[n:])
		}
		n += size
		out = x.call.appendUncut(out, data, chunked)
	}
	if chunked && b.Done {
		out = append(out, http1.LastChunk...)
	}
	w.made = out[:0]
	return out, n, reason
}

// appendUncut appends data, the next bytes of a body, without the tags in it, as a chunk
// or as they are.
func (c *call) appendUncut(dst, data []byte, chunked bool) []byte {
	begin, end := c.sent, c.sent+len(data)
	c.sent = end
	within := func(at int) int { return min(max(at, begin), end) - begin }
	left := len(data)
	for _, cut := range c.cuts {
		left -= within(cut.End) - within(cut.Start)
	}
	if left == 0 {
		return dst
	}
	if chunked {
		dst = http1.AppendChunkHeader(dst, left)
	}
	from := 0
	for _, cut := range c.cuts {
		dst = append(dst, data[from:max(within(cut.Start), from)]...)
		from = max(within(cut.End), from)
	}
	dst = append(dst, data[from:]...)
	if chunked {
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// appendName writes Mcp-Name as the server knows it.
func (x tasks) appendName(dst []byte) []byte {
	w := x.client.worker
	head := &w.request
	for i := head.Find(http1.HeaderMcpName, 0); i >= 0; i = head.Find(http1.HeaderMcpName, i+1) {
		name := head.Value(i)
		var ok bool
		if w.name, _, ok = mcp.SplitTaskName(w.name[:0], name); ok {
			name = w.name
		}
		dst = http1.AppendField(dst, "Mcp-Name", name)
	}
	return dst
}

// showsTasks reports whether ids in the response whose head is parsed may get a tag.
func (x tasks) showsTasks(head *http1.ResponseHead) bool {
	if !x.has(mayCreateTask|tagged) || head.Framing == http1.FramingNone || head.Status/100 != 2 || codingOf(head) == mcp.CodingUnknown {
		return false
	}
	media := head.Get(http1.HeaderContentType)
	return isMediaType(media, "application/json") || isMediaType(media, eventStream)
}

// awaitsAnswer reports whether the response whose head is parsed is held back until it
// is complete; rest came behind it.
func (x tasks) awaitsAnswer(rest []byte) bool {
	head := &x.client.worker.response
	return head.Framing == http1.FramingLength && head.Length <= mostHeldAnswer && int64(len(rest)) < head.Length && x.showsTasks(head) &&
		codingOf(head) == mcp.CodingNone
}

// plan has the tag put on ids in the response whose head is parsed; rest came behind it.
// Where that is all of it, and not compressed, its new length is known, and that nothing
// changes if it does not.
func (x tasks) plan(f *form, rest []byte) {
	w := x.client.worker
	head := &w.response
	if !x.showsTasks(head) {
		return
	}
	stream := isMediaType(head.Get(http1.HeaderContentType), eventStream)
	if head.Framing == http1.FramingLength && int64(len(rest)) >= head.Length && codingOf(head) == mcp.CodingNone {
		body := rest[:head.Length]
		if !mcp.MayShowTasks(body) {
			return
		}
		var r mcp.TaskRewriter
		r.Reset(x.upstreamPool.tag, x.has(tagged), stream)
		w.taskBody = r.Flush(r.Append(w.taskBody[:0], body))
		if r.Tagged() == 0 {
			return
		}
		if x.encoder == nil {
			f.length = int64(len(w.taskBody))
		}
	}
	if x.encoder == nil {
		x.encoder = w.encoders.plain()
	}
	x.encoder.tasks.Reset(x.upstreamPool.tag, x.has(tagged), stream)
	f.decoded = f.decoded || x.encoder.inflate(head)
	f.changed = true
}

// count counts the tasks that the response has shown to be created.
func (x tasks) count() {
	if x.has(mayCreateTask) {
		x.client.counters().TasksOpened.Add(uint64(x.encoder.tasks.Tagged()))
	}
}
