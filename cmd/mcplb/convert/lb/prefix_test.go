package lb

import "testing"

// A change of the path that is not quite that of the original sends requests to something
// else on the server.
func TestChangedPrefix(t *testing.T) {
	for _, c := range []struct {
		expression, replacement, want string
	}{
		{`^/a/(.*)$`, `/b/$1`, "/a /b"},
		{`^/a/(.*)`, `/\1`, "/a "},
		{`/a/?(.*)`, `/\1`, "/a "},
		{`^/a(/|$)(.*)`, `/$2`, "/a "},
		{`^/a(/)?(.*)`, `/b/$2`, "/a /b"},
		{`^/a(?:/)?(.*)`, `/b/$1`, "/a /b"},
		{`^/a(/.*)$`, `$1`, "/a "},
		{`^/a(/.*)$`, `/b$1`, "/a /b"},
		{`^/a(.*)$`, `$1`, "/a "},
		{`^/(.*)$`, `/b/$1`, " /b"},
		{`^/a/(.*)$`, `/b$1`, "refused"},
		{`^/a(.*)$`, `/b/$1`, "refused"},
		{`^/a/(.*)$`, `$1`, "refused"},
		{`^/a/(.*)$`, `/b/$2`, "refused"},
		{`^/a(/|$)(.*)`, `/$1`, "refused"},
		{`^/a/(\d+)$`, `/b/$1`, "refused"},
		{`^/a/(.*)$`, `/b/$1/c`, "refused"},
		{`^/a/(.*)$`, `/b?p=$1`, "refused"},
	} {
		prefix, by, ok := ChangedPrefix(c.expression, c.replacement)
		got := prefix + " " + by
		if !ok {
			got = "refused"
		}
		if got != c.want {
			t.Errorf("%s %s: %q, want %q", c.expression, c.replacement, got, c.want)
		}
	}
}
