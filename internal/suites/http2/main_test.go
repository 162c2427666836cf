package main

import (
	"testing"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A frame that is counted is one that was sent.
func TestFrames(t *testing.T) {
	t.Parallel()
	for _, a := range attacks[1:] {
		if a.name == "none" || a.connections == 0 || a.send == nil {
			t.Errorf("%s attacks nothing", a.name)
		}
	}
	if got := frames([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x06\x00\x00\x00\x00\x00x")); got != 2 {
		t.Errorf("%d frames, want 2", got)
	}
}
