package mcp

// What a Reader knows of where it is: the levels around the present byte.

// inObject reports whether the innermost level is an object.
func (r *Reader) inObject() bool { return r.depth > 0 && r.isObject(r.depth) }

// isObject reports whether a level, counted from 1, is an object.
func (r *Reader) isObject(level int) bool {
	level--
	return r.levels[level/64]>>(level%64)&1 == 1
}

// messageDepth is the level of the present message, or of the next: 1, in a batch 2.
func (r *Reader) messageDepth() int {
	if r.depth > 0 && !r.isObject(1) {
		return 2
	}
	return 1
}

// atMessage reports whether the innermost level is that of a message.
func (r *Reader) atMessage() bool { return r.inObject() && r.depth == r.messageDepth() }

// atParams reports whether the innermost level is the params of a message.
func (r *Reader) atParams() bool { return r.inParams && r.depth == r.messageDepth()+1 }

// enter begins an array or object, the value of a field.
func (r *Reader) enter(b byte, f field) {
	if r.depth == maxDepth {
		r.fail(FaultDepth)
		return
	}
	within, bit := r.depth/64, r.depth%64
	if within == len(r.levels) {
		r.levels = append(r.levels, 0)
	}
	r.levels[within] &^= 1 << bit
	r.depth++
	if b == '[' {
		r.state = readFirstItem
		return
	}
	r.levels[within] |= 1 << bit
	r.state = readFirstKey
	switch {
	case r.atMessage():
		r.calls.begin()
	case f == fieldParams:
		r.inParams = true
	}
}

// leave ends an array or object.
func (r *Reader) leave(b byte) {
	if r.depth == 0 || r.inObject() != (b == '}') {
		r.fail(FaultSyntax)
		return
	}
	message := r.atMessage()
	if r.atParams() {
		r.inParams = false
	}
	r.state = readAfter
	if r.depth--; r.depth == 0 {
		r.state = readEnd
	}
	if !message {
		return
	}
	r.closed = true
	if f := r.calls.end(); f != FaultNone {
		r.fail(f)
	}
}
