package http1

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestSkipValue(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	for range 20_000 {
		p := make([]byte, r.IntN(40))
		for i := range p {
			p[i] = byte(' ' + r.IntN('~'-' '+1))
			if r.IntN(20) == 0 {
				p[i] = byte(r.IntN(256))
			}
		}
		start := r.IntN(len(p) + 1)
		if got, want := skipValue(p, start), skip(p, start, isValue); got != want {
			t.Fatalf("skipValue(%q, %d) = %d, want %d", p, start, got, want)
		}
	}
	for c := range 256 {
		p := []byte("12345678" + string([]byte{byte(c)}) + "1234567890")
		want := 8
		if c == '\t' || c >= ' ' && c != 0x7f {
			want = len(p)
		}
		if got := skipValue(p, 0); got != want {
			t.Errorf("byte %#x: %d, want %d", c, got, want)
		}
	}
}

func TestEqualFold(t *testing.T) {
	t.Parallel()
	for a := range 256 {
		for b := range 256 {
			x, y := string([]byte{byte(a)}), []byte{byte(b)}
			want := a == b || a < 0x80 && b < 0x80 && strings.EqualFold(x, string(y))
			if EqualFold(x, y) != want {
				t.Errorf("EqualFold(%q, %q) is not %v", x, y, want)
			}
		}
	}
	if EqualFold("ab", "abc") || !EqualFold("", "") {
		t.Error("lengths")
	}
}
