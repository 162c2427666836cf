package mcp

import (
	"encoding"
	"testing"
)

// carry brings what is in from into to, by way of bytes.
func carry(t *testing.T, from encoding.BinaryMarshaler, to encoding.BinaryUnmarshaler) {
	t.Helper()
	p, err := from.MarshalBinary()
	if err == nil {
		err = to.UnmarshalBinary(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	if to.UnmarshalBinary(append(p, 0)) == nil && len(p) < 24 {
		if _, open := to.(*EndpointRewriter); !open {
			t.Error("a state with a byte too many is taken")
		}
	}
	if err := to.UnmarshalBinary(p); err != nil {
		t.Fatal(err)
	}
	if to.UnmarshalBinary(nil) == nil {
		t.Error("no state at all is taken")
	}
	if err := to.UnmarshalBinary(p); err != nil {
		t.Fatal(err)
	}
}

// Wherever a stream is cut, who goes on with it counts and says the same.
func TestCarry(t *testing.T) {
	t.Parallel()
	lines := []byte("{\"id\":1}\n\r\n{\"id\":2}\r\n  \n{\"id\":3")
	for cut := range lines {
		var whole, first, second Meter
		want, _ := whole.Count(lines, 0)
		got, _ := first.Count(lines[:cut], 0)
		carry(t, first, &second)
		more, _ := second.Count(lines[cut:], 0)
		if got+more != want || second != whole {
			t.Errorf("cut at %d: %d lines and %+v, want %d and %+v", cut, got+more, second, want, whole)
		}
	}
	stream := []byte(": hello\n\nevent: endpoint\ndata: /messages?sessionId=abc\n\ndata: more\n\n")
	for cut := range stream {
		var whole, first, second EndpointRewriter
		whole.Reset(TagOf("node1"))
		first.Reset(TagOf("node1"))
		want := whole.Flush(whole.Append(nil, stream))
		got := first.Append(nil, stream[:cut])
		carry(t, &first, &second)
		got = second.Flush(second.Append(got, stream[cut:]))
		if string(got) != string(want) {
			t.Errorf("cut at %d: %q, want %q", cut, got, want)
		}
	}
}

// A filter is carried between and within messages that pass.
func TestCarryFilter(t *testing.T) {
	t.Parallel()
	lines := []byte("{\"id\":1}\n{\"id\":2}\n")
	for cut := range lines {
		asked := 0
		gate := countingGate{&asked}
		var first, second Filter
		first.Next(lines[:cut], gate)
		if !first.Movable() {
			t.Fatalf("cut at %d: not movable", cut)
		}
		carry(t, first, &second)
		second.Next(lines[cut:], gate)
		if asked != 2 {
			t.Errorf("cut at %d: %d messages were asked for, want 2", cut, asked)
		}
	}
	var refusing Filter
	refusing.Next([]byte("{"), refuseAll{})
	if refusing.Movable() {
		t.Error("a filter in the middle of a message that it takes out is movable")
	}
}

type countingGate struct{ asked *int }

func (g countingGate) Admit() bool { *g.asked++; return true }

type refuseAll struct{}

func (refuseAll) Admit() bool { return false }
