package tlsio

// framer tracks where the records of a stream end, so that crypto/tls never
// gets more than the rest of one record and buffers no bytes beyond it. A
// record is a type, a version, a length of two bytes, and that many bytes (RFC
// 8446 section 5.1). The zero value is between two records.
type framer struct {
	header uint8  // bytes of an incomplete header that have passed
	within bool   // the header has passed, the body has not
	left   uint16 // bytes of the body still to come
	passed uint32 // bytes of the current record
}

const headerSize = 5

// take returns how many of the first bytes of p belong to the current record,
// or between two records to the next one, and counts them as passed.
func (f *framer) take(p []byte) (n int) {
	for !f.within && n < len(p) {
		if f.header >= headerSize-2 {
			f.left = f.left<<8 | uint16(p[n])
		}
		n++
		f.header++
		f.within = f.header == headerSize
	}
	if f.within {
		rest := min(int(f.left), len(p)-n)
		f.left -= uint16(rest)
		n += rest
	}
	f.passed += uint32(n)
	if f.within && f.left == 0 {
		*f = framer{}
	}
	return n
}
