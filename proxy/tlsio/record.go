package tlsio

// framer knows where the records of a stream end, so that crypto/tls is never
// given more than the rest of one and holds nothing that nobody has asked for.
// A record is a type, a version, two bytes of length, and so many bytes (RFC
// 8446 section 5.1). The zero value stands between two records.
type framer struct {
	header uint8  // bytes of the header that have passed, while it is not whole
	within bool   // the header has passed, the rest has not
	left   uint16 // of the rest
	passed uint32 // bytes of the present record
}

const headerSize = 5

// take says how many of the first bytes of p belong to the present record, or
// to the next one between two, and counts them as passed.
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
