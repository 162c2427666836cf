package rules

import (
	"testing"

	"mcplb/conf"
)

// The URI of a resource is denied however it is spelt, as those servers read it that parse
// it; an exception holds only for what is one in every reading. If it fails, a denied file
// is read by writing "FILE:" for "file:".
func TestDeniedURIs(t *testing.T) {
	t.Parallel()
	f := &conf.Frontend{Routes: []conf.Route{
		{Path: "/", MCPMethod: []string{"resources/*"}, MCPName: []string{"file:///etc/*", "https://internal.example/*", "note://secret", "db://h/t", "blob:*", "file:///data/.*"}, Deny: true},
		{Path: "/only", Not: conf.RouteNot{MCPName: []string{"file:///public/*"}}, MCPMethod: []string{"resources/read"}, Deny: true},
		{Path: "/", Priority: 1, MCPMethod: []string{"resources/read"}, MCPName: []string{"file:///etc/motd/*"}, Allow: true},
	}}
	m := Compile(f)
	for _, c := range []struct {
		path, name string
		denied     bool
	}{
		{"/", "file:///etc/passwd", true}, {"/", "FILE:///etc/passwd", true}, {"/", "file:/etc/passwd", true}, {"/", "file:etc/passwd", true},
		{"/", "file://localhost/etc/passwd", true}, {"/", "file:////etc/passwd", true}, {"/", `file:\\\etc\passwd`, true}, {"/", "file:///x/../etc/passwd", true},
		{"/", "file:///%65tc/passwd", true}, {"/", "file:///x/%2e%2e/etc/passwd", true}, {"/", "file:///x%2f..%2fetc/passwd", true}, {"/", " file:///etc/passwd\n", true},
		{"/", "fi\tle:///etc/passwd", true}, {"/", "file:///./etc//passwd", true}, {"/", "file:///etc/", true}, {"/", "file:///tmp/../etc/passwd?x", true},
		{"/", "file:///etcetera", false}, {"/", "file:///tmp/x", false}, {"/", "file:///tmp/etc/x", false}, {"/", "file://host/etc/x", false}, {"/", "file:///etc", false},
		{"/", "HTTPS://Internal.Example/a", true}, {"/", "https:/internal.example/a", true}, {"/", "https:internal.example/a", true}, {"/", "https://internal.example", true},
		{"/", "https://other.example/internal.example/", false}, {"/", "https://internal.example.org/", false},
		{"/", "NOTE://secret", true}, {"/", "note://Secret", true}, {"/", "note:secret", false}, {"/", "db://h/x/../t", true}, {"/", "db://h/t/u", false},
		{"/", "BLOB:x", true}, {"/", "file:///data/.hidden", true}, {"/", "file:///data/open", false}, {"/", "plain", false}, {"/", ":", false}, {"/", "", false}, {"/", "1a:b", false},
		{"/only", "file:///public/a", false}, {"/only", "file:///public/../etc/passwd", true}, {"/only", "file:///public/%2e%2e/x", true}, {"/only", "FILE:///public/a", true},
		{"/only", "file:///x", true},
		{"/", "file:///etc/motd/a", false}, {"/", "file:///etc/motd/../passwd", true}, {"/", "file:///etc/motd/%2e%2e/passwd", true},
	} {
		r := Request{Method: []byte("POST"), Host: []byte("x"), Path: []byte(c.path), Message: Message{Known: true, Method: []byte("resources/read"), Name: []byte(c.name)}}
		if d := m.Match(&r, new(Scratch)); d.Denied != c.denied {
			t.Errorf("%s %q: %+v", c.path, c.name, d)
		}
	}
}
