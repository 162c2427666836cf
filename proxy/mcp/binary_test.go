package mcp

import (
	"encoding"
	"testing"
)

// transfer marshals from and unmarshals the bytes into to.
func transfer(t *testing.T, from encoding.BinaryMarshaler, to encoding.BinaryUnmarshaler) {
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
			t.Error("a state that is one byte too long is accepted")
		}
	}
	if err := to.UnmarshalBinary(p); err != nil {
		t.Fatal(err)
	}
	if to.UnmarshalBinary(nil) == nil {
		t.Error("an empty state is accepted")
	}
	if err := to.UnmarshalBinary(p); err != nil {
		t.Fatal(err)
	}
}

// TestBinaryState splits a stream at every byte: the second half, read from the
// marshalled state, gives the same results.
func TestBinaryState(t *testing.T) {
	t.Parallel()
	lines := []byte("{\"id\":1}\n\r\n{\"id\":2}\r\n  \n{\"id\":3")
	for split := range lines {
		var unsplit, first, second Meter
		want, _ := unsplit.Count(lines, 0)
		got, _ := first.Count(lines[:split], 0)
		transfer(t, first, &second)
		more, _ := second.Count(lines[split:], 0)
		if got+more != want || second != unsplit {
			t.Errorf("split at %d: %d lines and %+v, want %d and %+v", split, got+more, second, want, unsplit)
		}
	}
	stream := []byte(": hello\n\nevent: endpoint\ndata: /messages?sessionId=abc\n\ndata: more\n\n")
	for split := range stream {
		var unsplit, first, second EndpointRewriter
		unsplit.Reset(TagOf("node1"))
		first.Reset(TagOf("node1"))
		want := unsplit.Flush(unsplit.Append(nil, stream))
		got := first.Append(nil, stream[:split])
		transfer(t, &first, &second)
		got = second.Flush(second.Append(got, stream[split:]))
		if string(got) != string(want) {
			t.Errorf("split at %d: %q, want %q", split, got, want)
		}
	}
}

// TestBinaryFilter marshals a filter between and within messages that pass.
func TestBinaryFilter(t *testing.T) {
	t.Parallel()
	lines := []byte("{\"id\":1}\n{\"id\":2}\n")
	for split := range lines {
		asked := 0
		gate := countingAdmitter{&asked}
		var first, second Filter
		first.Next(lines[:split], gate)
		if !first.Transferable() {
			t.Fatalf("split at %d: not transferable", split)
		}
		transfer(t, first, &second)
		second.Next(lines[split:], gate)
		if asked != 2 {
			t.Errorf("split at %d: Admit was called %d times, want 2", split, asked)
		}
	}
	var refusing Filter
	refusing.Next([]byte("{"), refuseAll{})
	if refusing.Transferable() {
		t.Error("a filter in the middle of a message that it removes is transferable")
	}
}

type countingAdmitter struct{ asked *int }

func (g countingAdmitter) Admit() bool { *g.asked++; return true }

type refuseAll struct{}

func (refuseAll) Admit() bool { return false }
