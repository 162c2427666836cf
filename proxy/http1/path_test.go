package http1

import (
	"bytes"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

// paths are paths with their canonical reading.
var paths = map[string]string{
	"":  "",
	"*": "*",
	"/": "/", "//": "/", "///": "/", "/.": "/", "/./": "/", "/..": "/", "/../..": "/", "/a/..": "/", "/a/../": "/",
	"/private": "/private", "/private/": "/private", "/private//": "/private", "//private": "/private",
	"/%70rivate": "/private", "/%70%72%69vate": "/private", "/x/../private": "/private", "/./private": "/private",
	"/x/./../private/.": "/private", "/x//../private": "/private", "/../private": "/private", "/a/b/../../private/x": "/private/x",
	"/%2e/private": "/private", "/x/%2E%2e/private": "/private", "/x/.%2e/private": "/private", "/%2e%2e/%70rivate": "/private",
	"/PRIVATE": "/PRIVATE", "/privatex": "/privatex", "/private%20": "/private%20", "/private.": "/private.", "/private;a": "/private;a",
	"/x%2F..%2Fprivate": "/x%2F..%2Fprivate", "/x%2f..%2fprivate": "/x%2F..%2Fprivate", "/%2Fprivate": "/%2Fprivate", "/private%2F": "/private%2F",
	"/x/..%2Fprivate": "/x/..%2Fprivate", "/x/%2e%2e%2Fprivate": "/x/..%2Fprivate",
	"/%2570rivate": "/%2570rivate", "/%25%37%30rivate": "/%2570rivate", "/%%370rivate": "/%2570rivate",
	"/...": "/...", "/a/...": "/a/...", "/.a": "/.a", "/..a": "/..a", "/.well-known/x": "/.well-known/x",
	"/%": "/%25", "/%2": "/%252", "/%zz": "/%25zz", "/%7": "/%257", "/priv%": "/priv%25", "/%7/private": "/%257/private",
	"/%00": "/%00", "/private%00": "/private%00", "/%0d%0a": "/%0D%0A", "/%c0%af": "/%C0%AF", "/%c0%ae%c0%ae/private": "/%C0%AE%C0%AE/private",
	`/x\..\private`: `/x\..\private`, "/%5c": "/%5C", "/a%3Ab:c": "/a%3Ab:c", "/~%7E_%5F-%2D.%2E0%30": "/~~__--..00", "/a%c3%a9": "/a%C3%A9",
}

func TestCanonicalPath(t *testing.T) {
	t.Parallel()
	for in, want := range paths {
		if got := string(AppendCanonicalPath([]byte("x"), []byte(in))); got != "x"+want {
			t.Errorf("%q reads as %q, want %q", in, got, "x"+want)
		}
		if canonical := IsCanonicalPath([]byte(in)); canonical && in != want {
			t.Errorf("%q is said to be canonical; it reads as %q", in, want)
		}
	}
	for _, ordinary := range []string{"/", "/mcp", "/mcp/sse", "/a.b/c-d_e~f", "*", "/a:b@c;d"} {
		if !IsCanonicalPath([]byte(ordinary)) {
			t.Errorf("%q is not said to be canonical", ordinary)
		}
	}
}

func TestHasPathPrefix(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path, prefix string
		want         bool
	}{
		{"/", "/", true}, {"/a", "/", true}, {"*", "/", false}, {"", "/", false},
		{"/a", "/a", true}, {"/a/b", "/a", true}, {"/ab", "/a", false}, {"/A", "/a", false}, {"/", "/a", false}, {"/a", "/a/b", false},
		{"*", "/a", false}, {"/a%2Fb", "/a", false}, {"/b/a", "/a", false},
	} {
		if got := HasPathPrefix([]byte(test.path), []byte(test.prefix)); got != test.want {
			t.Errorf("HasPathPrefix(%q, %q) = %v", test.path, test.prefix, got)
		}
	}
}

// escape is a well-formed escape.
var escape = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// decodeSimple decodes the escapes of unreserved characters.
func decodeSimple(p string) string {
	return escape.ReplaceAllStringFunc(p, func(e string) string {
		if c, _ := url.PathUnescape(e); strings.Contains("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c) {
			return c
		}
		return strings.ToUpper(e)
	})
}

// FuzzCanonicalPath compares the canonical reading with those of path.Clean and
// net/url: a path that read as another one would reach the wrong servers.
func FuzzCanonicalPath(f *testing.F) {
	for p := range paths {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		got := AppendCanonicalPath(nil, p)
		if again := AppendCanonicalPath(nil, got); !bytes.Equal(again, got) {
			t.Fatalf("%q reads as %q, and that as %q", p, got, again)
		}
		if IsCanonicalPath(p) && !bytes.Equal(got, p) || len(got) > 3*len(p) {
			t.Fatalf("%q reads as %q", p, got)
		}
		if !bytes.HasPrefix(p, []byte("/")) {
			return
		}
		if len(escape.FindAll(p, -1)) == bytes.Count(p, []byte("%")) { // every % begins an escape
			if want := path.Clean(decodeSimple(string(p))); string(got) != want {
				t.Fatalf("%q reads as %q, want %q", p, got, want)
			}
		}
		checkMeaning(t, string(p), string(got))
	})
}

// checkMeaning checks with net/url that both paths have the same decoded segments.
func checkMeaning(t *testing.T, before, after string) {
	t.Helper()
	if strings.Contains(before, "%2f") || strings.Contains(before, "%2F") {
		return // net/url makes slashes of them
	}
	was, err := url.PathUnescape(before)
	if err != nil {
		return
	}
	is, err := url.PathUnescape(after)
	if err != nil || path.Clean(was) != is {
		t.Fatalf("%q, decoded %q, reads as %q, decoded %q (%v)", before, path.Clean(was), after, is, err)
	}
}

func TestCanonicalPathAllocates(t *testing.T) {
	dst := make([]byte, 0, 64)
	odd := []byte("/x/../%70rivate//")
	if n := testing.AllocsPerRun(100, func() {
		if !IsCanonicalPath(odd) {
			dst = AppendCanonicalPath(dst[:0], odd)
		}
	}); n != 0 || string(dst) != "/private" {
		t.Errorf("%q, %v allocations", dst, n)
	}
}

func BenchmarkIsCanonicalPath(b *testing.B) {
	p := []byte("/api/v1/mcp/sse")
	for b.Loop() {
		if !IsCanonicalPath(p) {
			b.Fatal("not canonical")
		}
	}
}
