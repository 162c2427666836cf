package mcp

import "encoding/binary"

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *TaskRewriter) MarshalBinary() ([]byte, error) {
	s, w, d := &r.scanner, &r.scanner.word, &r.lines
	p := append([]byte(nil), r.tag[:]...)
	p = append(p, bit(r.active), bit(r.stream), bit(r.asked))
	p = append(p, uint8(d.state), d.matched, d.mark, bit(d.begun), bit(d.afterCR))
	p = append(p, uint8(s.place), uint8(s.state), bit(s.batch), bit(s.escaped), bit(s.inText), uint8(s.key), uint8(s.method), uint8(s.created))
	p = append(append(p, w.text[:]...), w.size, bit(w.escaped), w.hex)
	p = binary.BigEndian.AppendUint16(p, w.unit)
	for _, n := range [...]int{s.read, s.start, s.nested, r.tagged, len(r.marks)} {
		p = binary.BigEndian.AppendUint64(p, uint64(n))
	}
	for _, m := range r.marks {
		p = append(binary.BigEndian.AppendUint32(p, uint32(m.at)), uint8(m.place), uint8(m.verdict))
	}
	return append(p, r.held...), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (r *TaskRewriter) UnmarshalBinary(p []byte) error {
	u := unmarshaller{p: p}
	*r = TaskRewriter{}
	s, w, d := &r.scanner, &r.scanner.word, &r.lines
	copy(r.tag[:], u.take(len(r.tag)))
	r.active, r.stream, r.asked = u.bit(), u.bit(), u.bit()
	d.state, d.matched, d.mark = dataState(u.below(int(numDataStates))), u.below(len(dataField)+1), u.below(len(byteOrderMark)+1)
	d.begun, d.afterCR = u.bit(), u.bit()
	s.place, s.state = taskPlace(u.below(int(numTaskPlaces))), taskState(u.below(int(numTaskStates)))
	s.batch, s.escaped, s.inText = u.bit(), u.bit(), u.bit()
	s.key, s.method, s.created = taskKey(u.below(int(numTaskKeys))), taskMethod(u.below(int(numTaskMethods))), answer(u.below(int(numAnswers)))
	copy(w.text[:], u.take(len(w.text)))
	w.size, w.escaped, w.hex = u.below(len(w.text)+2), u.bit(), u.below(5)
	w.unit = uint16(u.number(2))
	s.read, s.start, s.nested, r.tagged = u.number(8), u.number(8), u.number(8), u.number(8)
	marks := u.number(8)
	u.failed = u.failed || marks > maxTaskMarks || !d.begun && int(d.mark) == len(byteOrderMark)
	for range marks {
		if u.failed {
			break
		}
		r.marks = append(r.marks, taskMark{u.number(4), taskPlace(u.below(int(numTaskPlaces))), answer(u.below(int(numAnswers)))})
	}
	r.held = append(r.held, u.p...)
	at := 0
	for _, m := range r.marks {
		u.failed = u.failed || m.at < at || m.at > len(r.held)
		at = m.at
	}
	if u.failed {
		*r = TaskRewriter{}
		return errState
	}
	return nil
}

// unmarshaller reads a state from the beginning of p. Once something is wrong, all that
// it returns is 0.
type unmarshaller struct {
	p      []byte
	failed bool
}

// take returns the next n bytes.
func (u *unmarshaller) take(n int) (taken []byte) {
	if u.failed || len(u.p) < n {
		u.failed = true
		return make([]byte, n)
	}
	taken, u.p = u.p[:n], u.p[n:]
	return taken
}

// bit returns the next bit.
func (u *unmarshaller) bit() bool { return u.take(1)[0] != 0 }

// below returns the next byte, which must be less than most.
func (u *unmarshaller) below(most int) uint8 {
	b := u.take(1)[0]
	if int(b) >= most {
		u.failed = true
		return 0
	}
	return b
}

// number returns the next number of so many bytes, which must not be negative.
func (u *unmarshaller) number(bytes int) (n int) {
	for _, b := range u.take(bytes) {
		n = n<<8 | int(b)
	}
	if n < 0 {
		u.failed = true
		return 0
	}
	return n
}
