package mcp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Clients hold the tags of these names: they must never change.
var goldenTags = []struct{ server, tag string }{
	{"", "khmotgn3"},
	{"node1", "wtjb7wi3"},
	{"node2", "awmswmyg"},
	{"node3", "aurlucq3"},
	{"node4", "2s5auzrt"},
	{"a", "vggg4w3z"},
	{"mcp-7.example.com:8080", "lv5pdewa"},
	{"Knoten-Ä", "b3ah7evt"},
}

func TestTagOf(t *testing.T) {
	t.Parallel()
	for _, golden := range goldenTags {
		if got := TagOf(golden.server); got.String() != golden.tag {
			t.Errorf("TagOf(%q) = %q, want %q: sessions that clients hold would be lost", golden.server, got, golden.tag)
		}
	}
}

func TestParseTag(t *testing.T) {
	t.Parallel()
	tag := TagOf("node1")
	for _, server := range []string{"", "node1", "node2", "\x00"} {
		if got, ok := ParseTag([]byte(TagOf(server).String())); !ok || got != TagOf(server) {
			t.Errorf("ParseTag(TagOf(%q)) = %q, %v", server, got, ok)
		}
	}
	text := tag.String()
	for _, bad := range []string{"", text[1:], text + "a", strings.ToUpper(text), text[:7] + "1", text[:7] + "=",
		text[:7] + "\x80", "aaaaaaab", string(make([]byte, 8))} {
		if got, ok := ParseTag([]byte(bad)); ok || got != (Tag{}) {
			t.Errorf("ParseTag(%q) = %q, %v; want none", bad, got, ok)
		}
	}
}

// TestTagChecks checks that a tag with one wrong digit is almost never valid.
func TestTagChecks(t *testing.T) {
	t.Parallel()
	wrong, valid := 0, 0
	for i := range 200 {
		tag := TagOf(fmt.Sprint("node", i))
		for place := range tag {
			for _, digit := range []byte(tagAlphabet) {
				changed := tag
				changed[place] = digit
				if changed == tag {
					continue
				}
				wrong++
				if _, ok := ParseTag(changed[:]); ok {
					valid++
				}
			}
		}
	}
	if share := float64(valid) / float64(wrong); share > 2.0/256 {
		t.Errorf("%.2f%% of tags with one wrong digit are valid, want about 0.4%%", 100*share)
	}
}

func TestCollision(t *testing.T) {
	t.Parallel()
	if a, b, found := Collision([]string{"node1", "node2", "node3", "node4"}); found {
		t.Errorf("Collision finds %q and %q", a, b)
	}
	if _, _, found := Collision(nil); found {
		t.Error("Collision among no servers")
	}
	var names []string
	for i := range 300_000 { // about ten collisions of 32 bits are expected
		names = append(names, fmt.Sprint("node", i))
	}
	a, b, found := Collision(names)
	if !found || a == b || TagOf(a) != TagOf(b) || !slices.Contains(names, a) || !slices.Contains(names, b) {
		t.Errorf("Collision = %q, %q, %v", a, b, found)
	}
}

// sessionIDs are ids as servers create them.
var sessionIDs = []string{
	"",
	"x",
	".",
	"..",
	"4f0c3c7a-5d55-4b46-9b5a-0f4bb4bdbb0f",
	"JX4K5VZQ3T2N6W7YB4M5C6D7EF",
	"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
	"session.abcdefgh",
	"." + TagOf("node1").String(),
	"inner." + TagOf("node1").String(),
	"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
	strings.Repeat("long", 500),
	"\x00\xff not even ASCII",
}

func TestSplitTagged(t *testing.T) {
	t.Parallel()
	node1, node2 := TagOf("node1"), TagOf("node2")
	tests := []struct {
		value, id string
		tag       Tag
		ok        bool
	}{
		{"", "", Tag{}, false},
		{"abc", "abc", Tag{}, false},
		{"abc." + node1.String(), "abc", node1, true},
		{"abc." + node1.String() + "." + node2.String(), "abc." + node1.String(), node2, true},
		{"." + node1.String(), "." + node1.String(), Tag{}, false},
		{"abc" + node1.String(), "abc" + node1.String(), Tag{}, false},
		{"abc-" + node1.String(), "abc-" + node1.String(), Tag{}, false},
		{"abc." + node1.String() + " ", "abc." + node1.String() + " ", Tag{}, false},
		{"abc." + strings.ToUpper(node1.String()), "abc." + strings.ToUpper(node1.String()), Tag{}, false},
		{"session.abcdefgh", "session.abcdefgh", Tag{}, false},
	}
	for _, test := range tests {
		id, tag, ok := SplitTagged([]byte(test.value))
		if string(id) != test.id || tag != test.tag || ok != test.ok {
			t.Errorf("SplitTagged(%q) = %q, %q, %v; want %q, %q, %v", test.value, id, tag, ok, test.id, test.tag, test.ok)
		}
	}
}

func FuzzTagged(f *testing.F) {
	for _, id := range sessionIDs {
		f.Add([]byte(id), "node1")
	}
	f.Fuzz(func(t *testing.T, id []byte, server string) {
		tag := TagOf(server)
		tagged := AppendTagged([]byte("before"), id, tag)
		value, found := bytes.CutPrefix(tagged, []byte("before"))
		if !found {
			t.Fatalf("AppendTagged does not append: %q", tagged)
		}
		got, gotTag, ok := SplitTagged(value)
		if !bytes.Equal(got, id) || ok != (len(id) > 0) || ok && gotTag != tag {
			t.Fatalf("SplitTagged(%q) = %q, %q, %v; want %q, %q", value, got, gotTag, ok, id, tag)
		}
		if ok && len(value) != len(id)+TagSize {
			t.Fatalf("%q is not TagSize longer than %q", value, id)
		}
		// SplitTagged returns the tag that was there.
		if inner, innerTag, ok := SplitTagged(id); ok && !bytes.Equal(AppendTagged(nil, inner, innerTag), id) {
			t.Fatalf("%q splits into %q and %q", id, inner, innerTag)
		}
	})
}

func TestTagsAllocate(t *testing.T) {
	id := []byte("4f0c3c7a-5d55-4b46-9b5a-0f4bb4bdbb0f")
	tag := TagOf("node1")
	dst := make([]byte, 0, 64)
	n := testing.AllocsPerRun(100, func() {
		dst = AppendTagged(dst[:0], id, tag)
		if _, got, ok := SplitTagged(dst); !ok || got != TagOf("node1") {
			t.Error("no round trip")
		}
	})
	if n != 0 {
		t.Errorf("tagging allocates %v times, want 0", n)
	}
}

func BenchmarkTagged(b *testing.B) {
	value := AppendTagged(nil, []byte("4f0c3c7a-5d55-4b46-9b5a-0f4bb4bdbb0f"), TagOf("node1"))
	dst := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		id, tag, _ := SplitTagged(value)
		dst = AppendTagged(dst[:0], id, tag)
	}
}
