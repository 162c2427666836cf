package clients

import (
	"strings"
	"testing"
)

func TestNextFrame(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	frame := append([]byte{0x81, 126, 1, 44}, long...)
	for n := range frame {
		if _, _, size, fault := nextFrame(frame[:n]); size != 0 || fault != "" {
			t.Fatalf("%d bytes: %d, %q", n, size, fault)
		}
	}
	if opcode, payload, n, fault := nextFrame(append(frame, 9)); opcode != opText || string(payload) != long || n != len(frame) || fault != "" {
		t.Errorf("%d, %d bytes, %d, %q", opcode, len(payload), n, fault)
	}
	for _, bad := range [][]byte{{0x81, 0x81}, {0x01, 0}, {0x82, 0}, {0x80, 0}, {0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0}} {
		if _, _, _, fault := nextFrame(bad); fault == "" {
			t.Errorf("%x is accepted", bad)
		}
	}
}

func FuzzNextFrame(f *testing.F) {
	f.Add([]byte{0x81, 1, 'x'})
	f.Add([]byte{0x89, 126, 0, 200})
	f.Add([]byte{0x81, 127, 0, 0, 0, 0, 0, 0, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, p []byte) {
		_, payload, n, fault := nextFrame(p)
		if n > len(p) || len(payload) > n || fault != "" && n != 0 {
			t.Errorf("%x: %d bytes of payload in a frame of %d, %q", p, len(payload), n, fault)
		}
	})
}
