package clienthello

// reader takes fields off the beginning of a message. After one that is cut short,
// failed is set, and everything that follows is empty.
type reader struct {
	rest   []byte
	failed bool
}

// take returns the next n bytes.
func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.rest) {
		r.failed = true
		r.rest = nil
		return nil
	}
	p := r.rest[:n]
	r.rest = r.rest[n:]
	return p
}

func (r *reader) uint8() int {
	if p := r.take(1); p != nil {
		return int(p[0])
	}
	return 0
}

func (r *reader) uint16() int { return r.uint8()<<8 | r.uint8() }

// vector8 and vector16 return a field whose length stands before it, in one or two
// bytes.
func (r *reader) vector8() []byte  { return r.take(r.uint8()) }
func (r *reader) vector16() []byte { return r.take(r.uint16()) }
