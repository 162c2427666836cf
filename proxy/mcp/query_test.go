package mcp

import (
	"bytes"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// tag1 and tag2 are the tags of two servers.
var (
	tag1 = TagOf("node1").String()
	tag2 = TagOf("node2").String()
)

// targets are request targets with the expected results of SplitQuery. If tag is
// not empty, without is the target for the server.
var targets = []struct{ in, id, tag, without string }{
	{"", "", "", ""},
	{"/messages", "", "", ""},
	{"/messages?", "", "", ""},
	{"/messages?x=y", "", "", ""},
	{"/messages?sessionId=", "", "", ""},
	{"/messages?sessionId", "", "", ""},
	{"/messages?sessionId=abc", "abc", "", ""},

	// The tag as a parameter.
	{"/m?mcplb_tag=" + tag1, "", tag1, "/m"},
	{"/m?&mcplb_tag=" + tag1, "", tag1, "/m?"},
	{"/m?a=b&mcplb_tag=" + tag1, "", tag1, "/m?a=b"},
	{"/m?a=b&&mcplb_tag=" + tag1, "", tag1, "/m?a=b&"},
	{"/m?sessionId=abc&mcplb_tag=" + tag1, "abc", tag1, "/m?sessionId=abc"},
	{"/m?mcplb_tag=" + tag1 + "&key=1", "", tag1, "/m?key=1"}, // added by the client
	{"/m?mcplb_tag=" + tag1 + "&", "", tag1, "/m?"},
	{"/m?a=b&mcplb_tag=" + tag1 + "&key=1", "", tag1, "/m?a=b&key=1"},
	{"/m?mcplb_tag=" + tag1 + "#f", "", tag1, "/m#f"},
	{"?mcplb_tag=" + tag1, "", tag1, ""},
	{"http://host:1?mcplb_tag=" + tag1, "", tag1, "http://host:1"},
	{"http://host:1/m?a=%2&mcplb_tag=" + tag1, "", tag1, "http://host:1/m?a=%2"},
	{"/m?mcplb_tag=" + tag2 + "&mcplb_tag=" + tag1, "", tag1, "/m?mcplb_tag=" + tag2}, // of the balancer behind
	{"/m?sessionId=abc." + tag2 + "&mcplb_tag=" + tag1, "abc." + tag2, tag1, "/m?sessionId=abc." + tag2},
	{"/m?mcplb_tag=abc&mcplb_tag=" + tag1, "", tag1, "/m?mcplb_tag=abc"},
	{"/m?mcplb_tag=" + tag1 + "&mcplb_tag=abc", "", tag1, "/m?mcplb_tag=abc"},

	// What only resembles it.
	{"/m?mcplb_tag=", "", "", ""},
	{"/m?mcplb_tag", "", "", ""},
	{"/m?mcplb_tag=" + tag1[:7], "", "", ""},
	{"/m?mcplb_tag=" + tag1 + "x", "", "", ""},
	{"/m?mcplb_tag=." + tag1, "", "", ""},
	{"/m?mcplb_tag=" + strings.ToUpper(tag1), "", "", ""},
	{"/m?MCPLB_TAG=" + tag1, "", "", ""},
	{"/m?xmcplb_tag=" + tag1, "", "", ""},
	{"/m?mcplb_tag[]=" + tag1, "", "", ""},
	{"/m?mcplb%5Ftag=" + tag1, "", "", ""},
	{"/m?a=mcplb_tag=" + tag1, "", "", ""},
	{"/m?a=1;mcplb_tag=" + tag1, "", "", ""},
	{"/mcplb_tag=" + tag1, "", "", ""},
	{"/m#?mcplb_tag=" + tag1, "", "", ""},

	// The tag at the end of the session's id, as earlier versions put it.
	{"/messages?sessionId=abc." + tag1, "abc", tag1, "/messages?sessionId=abc"},
	{"?sessionid=abc." + tag1, "abc", tag1, "?sessionid=abc"},
	{"/messages/?session_id=abc." + tag1 + "&x=y", "abc", tag1, "/messages/?session_id=abc&x=y"},
	{"http://host:1/m?a=b&sessionId=abc." + tag1 + "&x=y", "abc", tag1, "http://host:1/m?a=b&sessionId=abc&x=y"},
	{"/m?sessionId=abc." + tag1 + "." + tag2, "abc." + tag1, tag2, "/m?sessionId=abc." + tag1},
	{"/m?sessionId=a%2Fb%3D%26." + tag1, "a%2Fb%3D%26", tag1, "/m?sessionId=a%2Fb%3D%26"},
	{"/m?sessionId=a%2." + tag1, "a%2", tag1, "/m?sessionId=a%2"},
	{"/m?sessionId=a=b." + tag1, "a=b", tag1, "/m?sessionId=a=b"},
	{"/m?sessionId=a?b." + tag1, "a?b", tag1, "/m?sessionId=a?b"},
	{"/m?sessionId=a;b." + tag1, "a;b", tag1, "/m?sessionId=a;b"},
	{"/m?sessionId=." + tag1, "." + tag1, "", ""},
	{"/m?sessionId=abc." + tag1 + "x", "abc." + tag1 + "x", "", ""},
	{"/m?sessionId=&session_id=abc." + tag1, "abc", tag1, "/m?sessionId=&session_id=abc"},
	{"/m?sessionId=one&session_id=abc." + tag1, "abc", tag1, "/m?sessionId=one&session_id=abc"},
	{"/m?sessionId=one&session_id=two", "one", "", ""},
	{"/m?SESSIONID=abc." + tag1, "", "", ""},
	{"/m?xsessionId=abc." + tag1, "", "", ""},
	{"/m?sessionId[]=abc." + tag1, "", "", ""},
	{"/m?&&=&sessionId=abc." + tag1 + "&", "abc", tag1, "/m?&&=&sessionId=abc&"},
	{"/m#?sessionId=abc." + tag1, "", "", ""},
	{"/m?sessionId=abc." + tag1 + "#f", "abc", tag1, "/m?sessionId=abc#f"},
	{"/sessionId=abc." + tag1, "", "", ""},
}

// A POST reaches the server whose tag it bears, and that server sees the target
// that it has named itself, byte for byte.
func TestSplitQuery(t *testing.T) {
	t.Parallel()
	for _, target := range targets {
		in := []byte(target.in)
		q := SplitQuery(in)
		want, tagged := ParseTag([]byte(target.tag))
		if string(q.ID.Of(in)) != target.id || q.Tag != want || q.Tagged != tagged {
			t.Errorf("SplitQuery(%q) = %q, %+v; want %q, %q", in, q.ID.Of(in), q, target.id, target.tag)
		}
		if q.Found() != (target.id != "" || tagged) {
			t.Errorf("SplitQuery(%q) found: %v", in, q.Found())
		}
		if !tagged {
			target.without = target.in
		}
		if got := AppendUntagged([]byte("GET "), in, q); string(got) != "GET "+target.without {
			t.Errorf("AppendUntagged(%q) = %q, want %q", in, got, target.without)
		}
	}
}

func FuzzSplitQuery(f *testing.F) {
	for _, target := range targets {
		f.Add([]byte(target.in), "node2")
	}
	f.Fuzz(func(t *testing.T, uri []byte, server string) {
		if q := SplitQuery(uri); q.Tagged && bytes.Count(uri, q.Tag[:]) == 0 || !q.Tagged && q.Cut.Len() > 0 {
			t.Fatalf("SplitQuery(%q) = %+v, which is not there", uri, q)
		}
		// The tag added to an endpoint event is the tag that comes off.
		at, separator, ok := tagPlace(uri)
		if !ok {
			return
		}
		tag := TagOf(server)
		tagged := append(append([]byte(nil), uri[:at]...), separator)
		tagged = append(append(tagged, TagParameter+"="+tag.String()...), uri[at:]...)
		q := SplitQuery(tagged)
		if !q.Tagged || q.Tag != tag {
			t.Fatalf("SplitQuery(%q) = %+v, want %q", tagged, q, tag)
		}
		if back := AppendUntagged(nil, tagged, q); !bytes.Equal(back, uri) {
			t.Fatalf("%q came back as %q", uri, back)
		}
		checkQueries(t, uri, tagged, tag)
	})
}

// checkQueries checks with net/url that tagging adds one parameter and changes
// nothing else.
func checkQueries(t *testing.T, uri, tagged []byte, tag Tag) {
	t.Helper()
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
	was[TagParameter] = append(was[TagParameter], tag.String())
	for _, u := range []*url.URL{before, after} {
		u.RawQuery, u.ForceQuery = "", false
	}
	if !reflect.DeepEqual(is, was) || before.String() != after.String() {
		t.Fatalf("%q was tagged as %q", uri, tagged)
	}
}

func TestSplitQueryAllocates(t *testing.T) {
	target := []byte("/messages/?x=y&session_id=4f0c3c7a5d554b469b5a0f4bb4bdbb0f&mcplb_tag=" + tag1)
	dst := make([]byte, 0, 128)
	n := testing.AllocsPerRun(100, func() {
		q := SplitQuery(target)
		if !q.Tagged {
			t.Error("no tag")
		}
		dst = AppendUntagged(dst[:0], target, q)
	})
	if n != 0 {
		t.Errorf("splitting allocates %v times, want 0", n)
	}
}

func BenchmarkSplitQuery(b *testing.B) {
	target := []byte("/messages/?session_id=4f0c3c7a5d554b469b5a0f4bb4bdbb0f&mcplb_tag=" + tag1)
	b.ReportAllocs()
	for b.Loop() {
		if q := SplitQuery(target); !q.Tagged {
			b.Fatal("no tag")
		}
	}
}
