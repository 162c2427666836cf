package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestOutputIsComplete: without it, a script takes a status that a full disk has cut for all there is.
func TestOutputIsComplete(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, c := range []struct {
		name         string
		write        bool
		status, want int
		message      string
	}{
		{"nothing printed", false, 0, 0, ""},
		{"printed in vain", true, 0, 1, "prog: the output is not complete: write /dev/full: no space left on device\n"},
		{"failed anyway", true, 3, 3, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr bytes.Buffer
			o := NewOutput(full)
			if c.write {
				_, _ = o.Write([]byte("x"))
			}
			if got := o.Exit("prog", c.status, &stderr); got != c.want || stderr.String() != c.message {
				t.Errorf("got status %d and %q, want %d and %q", got, stderr.String(), c.want, c.message)
			}
		})
	}
	if file, ok := File(NewOutput(full)); !ok || file != full {
		t.Error("an output's file is not found")
	}
	if _, ok := File(NewOutput(&strings.Builder{})); ok {
		t.Error("a buffer is taken for a file")
	}
}
