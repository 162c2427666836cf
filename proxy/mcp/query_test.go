package mcp

import (
	"bytes"
	"net/url"
	"testing"
)

// tag1 and tag2 are the tags of two servers.
var (
	tag1 = TagOf("node1").String()
	tag2 = TagOf("node2").String()
)

// targets are request targets with the expected results of SplitQuery. If ok is
// true, without is the target for the server.
var targets = []struct {
	in, id, tag string
	ok          bool
	without     string
}{
	{"", "", "", false, ""},
	{"/messages", "", "", false, ""},
	{"/messages?", "", "", false, ""},
	{"/messages?x=y", "", "", false, ""},
	{"/messages?sessionId=", "", "", false, ""},
	{"/messages?sessionId", "", "", false, ""},
	{"/messages?sessionId=abc", "abc", "", false, ""},
	{"/messages?sessionId=abc." + tag1, "abc", tag1, true, "/messages?sessionId=abc"},
	{"?sessionid=abc." + tag1, "abc", tag1, true, "?sessionid=abc"},
	{"/messages/?session_id=abc." + tag1 + "&x=y", "abc", tag1, true, "/messages/?session_id=abc&x=y"},
	{"http://host:1/m?a=b&sessionId=abc." + tag1 + "&x=y", "abc", tag1, true, "http://host:1/m?a=b&sessionId=abc&x=y"},
	{"/m?sessionId=abc." + tag1 + "." + tag2, "abc." + tag1, tag2, true, "/m?sessionId=abc." + tag1},
	{"/m?sessionId=a%2Fb%3D%26." + tag1, "a%2Fb%3D%26", tag1, true, "/m?sessionId=a%2Fb%3D%26"},
	{"/m?sessionId=a%2." + tag1, "a%2", tag1, true, "/m?sessionId=a%2"},
	{"/m?sessionId=a=b." + tag1, "a=b", tag1, true, "/m?sessionId=a=b"},
	{"/m?sessionId=a?b." + tag1, "a?b", tag1, true, "/m?sessionId=a?b"},
	{"/m?sessionId=a;b." + tag1, "a;b", tag1, true, "/m?sessionId=a;b"},
	{"/m?sessionId=." + tag1, "." + tag1, "", false, ""},
	{"/m?sessionId=abc." + tag1 + "x", "abc." + tag1 + "x", "", false, ""},
	{"/m?sessionId=&session_id=abc." + tag1, "abc", tag1, true, "/m?sessionId=&session_id=abc"},
	{"/m?sessionId=one&session_id=abc." + tag1, "abc", tag1, true, "/m?sessionId=one&session_id=abc"},
	{"/m?sessionId=one&session_id=two", "one", "", false, ""},
	{"/m?SESSIONID=abc." + tag1, "", "", false, ""},
	{"/m?xsessionId=abc." + tag1, "", "", false, ""},
	{"/m?sessionId[]=abc." + tag1, "", "", false, ""},
	{"/m?&&=&sessionId=abc." + tag1 + "&", "abc", tag1, true, "/m?&&=&sessionId=abc&"},
	{"/m#?sessionId=abc." + tag1, "", "", false, ""},
	{"/m?sessionId=abc." + tag1 + "#f", "abc", tag1, true, "/m?sessionId=abc#f"},
	{"/sessionId=abc." + tag1, "", "", false, ""},
}

func TestSplitQuery(t *testing.T) {
	t.Parallel()
	for _, target := range targets {
		in := []byte(target.in)
		id, tag, ok := SplitQuery(in)
		if want, _ := ParseTag([]byte(target.tag)); string(id.Of(in)) != target.id || tag != want || ok != target.ok {
			t.Errorf("SplitQuery(%q) = %q, %q, %v; want %q, %q, %v", in, id.Of(in), tag, ok, target.id, target.tag, target.ok)
		}
		if !ok {
			continue
		}
		if got := AppendUntagged([]byte("GET "), in, id); string(got) != "GET "+target.without {
			t.Errorf("AppendUntagged(%q) = %q, want %q", in, got, target.without)
		}
	}
}

func FuzzSplitQuery(f *testing.F) {
	for _, target := range targets {
		f.Add([]byte(target.in), "node2")
	}
	f.Fuzz(func(t *testing.T, uri []byte, server string) {
		if id, tag, ok := SplitQuery(uri); ok && bytes.Count(uri, tag[:]) == 0 {
			t.Fatalf("SplitQuery(%q) finds %q at %v, where it is not", uri, tag, id)
		}
		// The tag added to an endpoint event is the tag that comes off.
		session := endpointSession(uri)
		if session.Len() == 0 {
			return
		}
		tag := TagOf(server)
		tagged := AppendTagged(nil, uri[:session.End], tag)
		tagged = append(tagged, uri[session.End:]...)
		id, got, ok := SplitQuery(tagged)
		if !ok || got != tag || id != session {
			t.Fatalf("SplitQuery(%q) = %v, %q, %v; want %v, %q", tagged, id, got, ok, session, tag)
		}
		if back := AppendUntagged(nil, tagged, id); !bytes.Equal(back, uri) {
			t.Fatalf("%q came back as %q", uri, back)
		}
		checkQueries(t, uri, tagged, tag)
	})
}

// checkQueries checks with net/url that tagging appends the tag to one value of
// the query and changes nothing else.
func checkQueries(t *testing.T, uri, tagged []byte, tag Tag) {
	before, err := url.Parse(string(uri))
	if err != nil {
		return
	}
	after, err := url.Parse(string(tagged))
	if err != nil {
		t.Fatalf("%q parses, %q does not: %v", uri, tagged, err)
	}
	was, err1 := url.ParseQuery(before.RawQuery)
	is, err2 := url.ParseQuery(after.RawQuery)
	if err1 != nil || err2 != nil { // net/url omits parts of a malformed query
		return
	}
	changed := 0
	for name, values := range is {
		for i, value := range values {
			if value == was[name][i] {
				continue
			}
			changed++
			if !namesSession([]byte(name)) || value != was[name][i]+"."+tag.String() {
				t.Fatalf("%q was tagged as %q: %s is %q", uri, tagged, name, value)
			}
		}
	}
	if len(is) != len(was) || changed != 1 {
		t.Fatalf("%q was tagged as %q: %d values changed", uri, tagged, changed)
	}
}

func TestSplitQueryAllocates(t *testing.T) {
	target := []byte("/messages/?x=y&session_id=4f0c3c7a5d554b469b5a0f4bb4bdbb0f." + tag1)
	dst := make([]byte, 0, 128)
	n := testing.AllocsPerRun(100, func() {
		id, _, ok := SplitQuery(target)
		if !ok {
			t.Error("no tag")
		}
		dst = AppendUntagged(dst[:0], target, id)
	})
	if n != 0 {
		t.Errorf("splitting allocates %v times, want 0", n)
	}
}

func BenchmarkSplitQuery(b *testing.B) {
	target := []byte("/messages/?session_id=4f0c3c7a5d554b469b5a0f4bb4bdbb0f." + tag1)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := SplitQuery(target); !ok {
			b.Fatal("no tag")
		}
	}
}
