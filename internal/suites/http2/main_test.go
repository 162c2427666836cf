package main

import (
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Each attack, for a moment: what should be cut is cut, other clients are served, and memory
// stays bounded. The figures are those of "make http2".
func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds mcplb and attacks it for some seconds")
	}
	binary := filepath.Join(t.TempDir(), "mcplb")
	if out, err := exec.Command("go", "build", "-o", binary, "mcplb/cmd/mcplb").CombinedOutput(); err != nil {
		t.Fatalf("build mcplb: %v\n%s", err, out)
	}
	var table strings.Builder
	err := run(t.Context(), options{mcplb: binary, length: 250 * time.Millisecond, patience: time.Minute, memory: 512}, io.MultiWriter(&table, t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(table.String(), "\n"); lines != len(attacks)+1 {
		t.Errorf("%d lines for %d attacks", lines, len(attacks))
	}
}

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
