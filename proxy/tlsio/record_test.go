package tlsio

import (
	"encoding/binary"
	"testing"
)

// boundaries returns where the records of a stream end, found in one pass.
func boundaries(p []byte) (ends []int, rest int) {
	for at := 0; ; {
		if len(p)-at < headerSize {
			return ends, len(p) - at
		}
		size := headerSize + int(binary.BigEndian.Uint16(p[at+3:]))
		if len(p)-at < size {
			return ends, len(p) - at
		}
		at += size
		ends = append(ends, at)
	}
}

// FuzzFramer passes a stream in random pieces: the records end where a single
// pass finds them.
func FuzzFramer(f *testing.F) {
	f.Add([]byte{22, 3, 1, 0, 2, 1, 2, 23, 3, 3, 0, 0, 21, 3, 3, 0, 1, 9, 23, 3, 3}, uint8(1))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), uint8(4))
	f.Add([]byte{23, 3, 3, 0xff, 0xff, 1, 2, 3}, uint8(200))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		ends, rest := boundaries(stream)
		var fr framer
		for at := 0; at < len(stream); {
			n := fr.take(stream[at:min(at+int(piece)+1, len(stream))])
			if n == 0 {
				t.Fatal("nothing passes")
			}
			at += n
			if len(ends) > 0 && at > ends[0] {
				t.Fatalf("at %d, beyond the end of a record at %d", at, ends[0])
			}
			between := fr == framer{}
			if between != (len(ends) > 0 && at == ends[0]) {
				t.Fatalf("at %d: between records %v, the next ends at %v", at, between, ends)
			}
			if between {
				ends = ends[1:]
			}
		}
		if int(fr.passed) != rest {
			t.Fatalf("%d bytes of the last record, want %d", fr.passed, rest)
		}
	})
}
