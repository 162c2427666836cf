package l7

import (
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/rules"
	"mcplb/ratelimit"
)

// call is what an exchange knows of its MCP call and of the limits that it passes. Only
// requests that call a tool, whose body is read for the rules, that have a limit, or that are
// for a task with a tag have one.
type call struct {
	method, name []byte // decoded; empty = not known
	tool         bool   // it calls a tool, which is counted
	began        int64
	status       int // of the response; 0 = none has begun

	reading *bodyReader    // while the body is read
	pass    ratelimit.Pass // through the limits
	limits  []*routeLimit  // those of pass, in its order
	askAt   int64          // when they are asked again, on the loop's clock

	cuts []mcp.TaskTag // tags that are taken out of the body on its way to the server
	sent int           // bytes of the body's data that have passed
}

// calls are free ones of a loop.
type calls []*call

// mostCalls is how many free ones are kept.
const mostCalls = 256

// mostKeptName is how much memory for a name a free one keeps, in bytes.
const mostKeptName = 256

func (cs *calls) get() *call {
	last := len(*cs) - 1
	if last < 0 {
		return new(call)
	}
	c := (*cs)[last]
	*cs = (*cs)[:last]
	return c
}

func (cs *calls) put(c *call) {
	if len(*cs) == mostCalls || cap(c.name)+cap(c.method) > 2*mostKeptName {
		return
	}
	c.method, c.name, c.limits, c.cuts = c.method[:0], c.name[:0], c.limits[:0], c.cuts[:0]
	c.tool, c.began, c.status, c.askAt = false, 0, 0, 0
	*cs = append(*cs, c)
}

// needCall returns the exchange's call; there is one from now on.
func (x *exchange) needCall() *call {
	if x.call == nil {
		x.call = x.client.worker.calls.get()
		x.call.began = x.loop().Now()
	}
	return x.call
}

// endCall ends what the exchange has of a call: the limits are left, and the tool is
// counted.
func (x *exchange) endCall() {
	c := x.call
	if c == nil {
		return
	}
	x.call = nil
	w := x.client.worker
	w.readers.put(c.reading)
	c.reading = nil
	c.pass.Leave()
	if c.tool {
		failed := c.status == 0 || c.status >= 400 || x.has(answered) && !x.Response.Done
		x.client.frontend.rules.countTool(c.name, failed, x.loop().Now()-c.began)
	}
	w.calls.put(c)
}

// leaveCall lets go of a call that another process continues.
func (x *exchange) leaveCall() {
	if x.call != nil {
		x.call.tool = false
		x.endCall()
	}
}

// answeredCall notes the status of the response.
func (x *exchange) answeredCall(status int) {
	if x.call != nil {
		x.call.status = status
	}
}

// noteCall counts the request, which is parsed, for its route, and notes the tool that
// it names, where its fields are to be believed.
func (x router) noteCall() {
	x.countRoute()
	head := &x.client.worker.request
	if !x.has(modern) || !head.Has(http1.HeaderMcpName) || mcp.MethodOf(head.Get(http1.HeaderMcpMethod)) != mcp.MethodToolsCall {
		return
	}
	if m := x.sentMessage(); m.Known && len(m.Name) > 0 {
		x.setCall(m.Method, m.Name)
	}
}

// countRoute counts the request for its route.
func (x *exchange) countRoute() {
	if n := x.route.requests; n != nil {
		n.Add(1)
	}
}

// setCall notes which method of which name the request calls.
func (x *exchange) setCall(method, name []byte) {
	c := x.needCall()
	c.method, c.name = append(c.method[:0], method...), append(c.name[:0], name...)
	c.tool = mcp.MethodOf(method) == mcp.MethodToolsCall && len(name) > 0
	if x.log != nil {
		x.log.Call = mcp.MethodOf(method).String()
		x.log.Named(name)
	}
}

// sentMessage is what the request that is parsed says of its message outside of its
// body: see rules.SentMessage.
func (x router) sentMessage() (m rules.Message) {
	w := x.client.worker
	m, w.names = rules.SentMessage(&w.request, w.names)
	return m
}

// CallHandover is what a new process needs of a call.
type CallHandover struct {
	Accounts     []ratelimit.AccountKey // under whose limits the request is
	Method, Name []byte
	Tool         bool
	Began        int64
	Status       int
}

// handover returns what a new process needs; nil for nil.
func (c *call) handover() *CallHandover {
	if c == nil {
		return nil
	}
	return &CallHandover{c.pass.Keys(), c.method, c.name, c.tool, c.began, c.status}
}

// adoptCall continues a call of another process.
func (x *exchange) adoptCall(h *CallHandover) {
	if h == nil {
		return
	}
	c := x.needCall()
	c.method, c.name = append(c.method, h.Method...), append(c.name, h.Name...)
	c.tool, c.began, c.status = h.Tool, h.Began, h.Status
	c.pass.Reinstate(x.client.frontend.Accounts, h.Accounts, x.loop().Now())
}

// dropBody lets go of the reader of a body that is judged.
func (x router) dropBody() {
	if c := x.call; c != nil {
		x.client.worker.readers.put(c.reading)
		c.reading = nil
	}
}

// refuseRead is refuse for a request whose body was being read: it becomes the input
// again.
func (x router) refuseRead(g generated) {
	x.dropBody()
	if x.state == inspecting && !x.reparse() {
		return
	}
	x.beginBody()
	x.refuse(g)
}
