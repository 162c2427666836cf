package mcp

import "bytes"

// maxTaskHeld is how far behind a task's id what decides about it may come, in bytes: so
// much is held back. It stands beside it in all messages of SDKs.
const maxTaskHeld = 64 << 10

// maxTaskMarks is how many ids may wait for what decides about them.
const maxTaskMarks = 256

// TaskRewriter reads the response to a request, or the events of its stream, and adds a
// server's tag to the ids of that server's tasks, so that requests for them can be led
// to it (SEP-2663): AppendTaskTags and SplitTaskName find it there. Everything else
// passes unchanged, byte for byte.
//
// Which ids get the tag depends on the request. If it may create a task, result.taskId
// gets it where result.resultType is "task". If it was for a task with a tag,
// result.taskId, params.taskId of notifications/tasks and params.notifications.taskIds
// of notifications/subscriptions/acknowledged get it.
//
// What is read passes at once, unless a taskId comes before what decides about it: then
// the bytes from its end on are held back until that comes, or 64 KiB.
//
//	rewriter.Reset(tag, false, false)
//	for {
//		p := read()
//		out = rewriter.Append(out[:0], p)
//		forward(out)
//	}
//	out = rewriter.Flush(out[:0])
//
// The zero value passes everything.
type TaskRewriter struct {
	scanner taskScanner
	lines   dataLines
	held    []byte     // from the first mark on
	marks   []taskMark // ids that are held back
	tag     Tag
	active  bool
	stream  bool // of events
	asked   bool // the request was for a task with a tag
	tagged  int
}

// taskMark is the end of an id that is held back.
type taskMark struct {
	at      int // in held
	place   taskPlace
	verdict answer
}

// Reset prepares the rewriter for a response of the server with tag t. asked says that
// the request was for a task with a tag, and not one that may create a task; stream,
// that the response is an event stream and not JSON. It keeps its memory.
func (r *TaskRewriter) Reset(t Tag, asked, stream bool) {
	*r = TaskRewriter{held: r.held[:0], marks: r.marks[:0], tag: t, active: true, asked: asked, stream: stream}
}

// Done reports whether everything passes unchanged: the rewriter has its zero value, or
// was flushed.
func (r *TaskRewriter) Done() bool { return !r.active }

// Tagged returns how many ids got the tag.
func (r *TaskRewriter) Tagged() int { return r.tagged }

// Append reads the next bytes of the response and appends to dst those to be sent to
// the client now. It allocates only to let dst grow, and where it holds back.
func (r *TaskRewriter) Append(dst, p []byte) []byte {
	if !r.active {
		return append(dst, p...)
	}
	from := 0 // of what is neither appended nor held
	for at := 0; at < len(p); {
		n, event := r.next(p[at:])
		at += n
		if event == taskNothing {
			continue
		}
		if len(r.marks) > 0 {
			r.held = append(r.held, p[from:at]...)
			from = at
		}
		if event != taskIDEnds {
			dst = r.settle(dst, event)
			continue
		}
		if verdict := r.verdict(r.scanner.place); verdict != no {
			dst = append(dst, p[from:at]...)
			from = at
			dst = r.idEnds(dst, verdict)
		}
	}
	if len(r.marks) == 0 {
		return append(dst, p[from:]...)
	}
	r.held = append(r.held, p[from:]...)
	return r.expire(dst)
}

// Flush appends the bytes still held back when the response ends. The rewriter is then
// done.
func (r *TaskRewriter) Flush(dst []byte) []byte {
	dst = r.settle(dst, taskMessageEnds)
	r.active = false
	return dst
}

// next reads a part of p, which is not empty, up to the next event.
func (r *TaskRewriter) next(p []byte) (n int, event taskEvent) {
	if !r.stream {
		return r.scanner.next(p)
	}
	n, run := r.lines.next(p)
	switch run {
	case runData:
		return r.scanner.next(p[:n])
	case runEventEnds:
		r.scanner = taskScanner{}
		return n, taskMessageEnds
	}
	return n, taskNothing
}

// verdict is whether an id in the place gets the tag, as far as is known.
func (r *TaskRewriter) verdict(place taskPlace) answer {
	s, wanted := &r.scanner, methodTasks
	switch {
	case place == taskResult && r.asked:
		return yes
	case place == taskResult:
		return s.created
	case !r.asked:
		return no
	case place == taskIDs:
		wanted = methodAcknowledged
	}
	switch s.method {
	case methodUnknown:
		return unknown
	case wanted:
		return yes
	}
	return no
}

// idEnds handles the end of an id that may get the tag: dst, or what is held back, ends
// with it.
func (r *TaskRewriter) idEnds(dst []byte, verdict answer) []byte {
	if verdict == yes && len(r.marks) == 0 {
		r.tagged++
		return r.tag.appendTo(dst)
	}
	dst = r.expire(dst)
	if len(r.marks) == maxTaskMarks {
		r.marks[0].verdict = no
		dst = r.release(dst)
	}
	r.marks = append(r.marks, taskMark{len(r.held), r.scanner.place, verdict})
	return dst
}

// settle decides about ids that are held back, as far as an event allows it.
func (r *TaskRewriter) settle(dst []byte, event taskEvent) []byte {
	if len(r.marks) == 0 {
		return dst
	}
	dst = r.expire(dst)
	for i := range r.marks {
		m := &r.marks[i]
		if m.verdict != unknown {
			continue
		}
		m.verdict = r.verdict(m.place)
		if m.verdict == unknown && (event == taskMessageEnds || event == taskResultEnds && m.place == taskResult) {
			m.verdict = no
		}
	}
	return r.release(dst)
}

// expire decides about ids that have been held back for too many bytes.
func (r *TaskRewriter) expire(dst []byte) []byte {
	for i := range r.marks {
		if m := &r.marks[i]; m.verdict == unknown && len(r.held)-m.at > maxTaskHeld {
			m.verdict = no
		}
	}
	return r.release(dst)
}

// release appends what is held back, up to the first id about which nothing is known.
func (r *TaskRewriter) release(dst []byte) []byte {
	from, n := 0, 0
	for n < len(r.marks) && r.marks[n].verdict != unknown {
		dst = append(dst, r.held[from:r.marks[n].at]...)
		from = r.marks[n].at
		if r.marks[n].verdict == yes {
			dst = r.tag.appendTo(dst)
			r.tagged++
		}
		n++
	}
	if n == 0 {
		return dst
	}
	end := len(r.held)
	if n < len(r.marks) {
		end = r.marks[n].at
	}
	dst = append(dst, r.held[from:end]...)
	r.held = r.held[:copy(r.held, r.held[end:])]
	r.marks = r.marks[:copy(r.marks, r.marks[n:])]
	for i := range r.marks {
		r.marks[i].at -= end
	}
	r.shrink()
	return dst
}

// shrink lets go of memory. A stream at rest keeps little.
func (r *TaskRewriter) shrink() {
	const most = 512
	if len(r.marks) == 0 && cap(r.held) > most {
		r.held = nil
	}
	if len(r.marks) == 0 && cap(r.marks) > most/32 {
		r.marks = nil
	}
}

// MayShowTasks reports whether there may be something to do for a TaskRewriter in p, all
// of a response. It costs less than to find out.
func MayShowTasks(p []byte) bool {
	return bytes.Contains(p, []byte("taskId")) || bytes.Contains(p, []byte(`\u`))
}
