package mcp

import "bytes"

const (
	// maxReadings is how many different values a field of one message may have: a
	// message of a good client has one.
	maxReadings = 4

	// maxCalls is how many different calls a body may have: batches existed only in
	// MCP 2025-03-26, and are short.
	maxCalls = 256

	// maxCallText is how many bytes the methods and names of a body may have together.
	maxCallText = 64 << 10
)

// Call is what a message asks for, as a server may read it.
type Call struct {
	Method []byte // decoded; empty: a response, or no method that is a text
	Name   []byte // of the tool, resource, prompt or task, decoded; empty if there is none
	Named  bool   // there is a name
	Count  int    // how many messages of the body can be read so
}

// span is a part of calls.text.
type span struct{ start, end int }

// readings are the different values of one field of a message, the last one read
// last.
type readings struct {
	values [maxReadings]span
	n      int
}

// calls collects what the messages of a body ask for.
type calls struct {
	list     []Call
	text     []byte   // what the spans refer to, and the calls
	present  readings // methods
	names    [fieldTask + 1 - fieldName]readings
	mark     int // where the present message's part of text begins
	messages int
	first    int // of the list: the first message, as most servers read it
}

// Calls returns what the messages that have ended ask for: every reading that a
// server could have, each once. A message has several readings where it has several
// "method", "params", "name", "uri" or "taskId", or keys that differ from them in case,
// dashes and underscores alone: some readers take the first, some the last, some none
// but the exact. The name is params.name of tools and prompts, params.uri of
// resources, params.taskId of tasks, and any of them with other methods. What is
// longer than 8 KiB is cut there. The slices are valid until Feed or Reset.
func (r *Reader) Calls() []Call { return r.calls.list }

// First returns the first message as most servers read it: the last of several
// values counts. ok is false if there is no message.
func (r *Reader) First() (call Call, ok bool) {
	if len(r.calls.list) == 0 {
		return Call{}, false
	}
	return r.calls.list[r.calls.first], true
}

// Messages returns how many messages have ended.
func (r *Reader) Messages() int { return r.calls.messages }

// begin begins a message.
func (c *calls) begin() {
	c.present, c.names, c.mark = readings{}, [len(c.names)]readings{}, len(c.text)
}

// note notes a value of a field, and reports whether there is room for it.
func (c *calls) note(f field, value []byte) bool {
	of := &c.present
	if f != fieldMethod {
		of = &c.names[f-fieldName]
	}
	for i, s := range of.values[:of.n] {
		if bytes.Equal(c.text[s.start:s.end], value) {
			last := of.n - 1
			copy(of.values[i:], of.values[i+1:of.n])
			of.values[last] = s
			return true
		}
	}
	if of.n == maxReadings || len(c.text)+len(value) > maxCallText {
		return false
	}
	start := len(c.text)
	c.text = append(c.text, value...)
	of.values[of.n] = span{start, len(c.text)}
	of.n++
	return true
}

// end adds the readings of the message that has ended.
func (c *calls) end() Fault {
	c.messages++
	before := len(c.list)
	var last int
	for i := range max(c.present.n, 1) {
		var method []byte
		if c.present.n > 0 {
			method = c.of(c.present.values[i])
		}
		var ok bool
		if last, ok = c.addNamed(method); !ok {
			return FaultTooMany
		}
	}
	if c.messages == 1 {
		c.first = last
	}
	if len(c.list) == before { // nothing refers to it
		c.text = c.text[:c.mark]
	}
	return FaultNone
}

// addNamed adds the calls of a method with each of its names, and returns the last.
func (c *calls) addNamed(method []byte) (last int, ok bool) {
	fields, n := namedBy(method)
	named := false
	for _, f := range fields[:n] {
		of := &c.names[f-fieldName]
		for _, s := range of.values[:of.n] {
			named = true
			if last, ok = c.add(Call{Method: method, Name: c.of(s), Named: true, Count: 1}); !ok {
				return last, false
			}
		}
	}
	if named {
		return last, true
	}
	return c.add(Call{Method: method, Count: 1})
}

// of returns the text of a span. Its memory stays, also where text grows.
func (c *calls) of(s span) []byte { return c.text[s.start:s.end:s.end] }

// add adds a call, or counts it once more, and returns where it is.
func (c *calls) add(call Call) (at int, ok bool) {
	for i := range c.list {
		known := &c.list[i]
		if known.Named == call.Named && bytes.Equal(known.Name, call.Name) && bytes.Equal(known.Method, call.Method) {
			known.Count++
			return i, true
		}
	}
	if len(c.list) == maxCalls {
		return 0, false
	}
	c.list = append(c.list, call)
	return len(c.list) - 1, true
}
