package rules

import (
	"testing"

	"mcplb/conf"
)

// A path goes to its route however it is written, and to no other.
func TestPaths(t *testing.T) {
	t.Parallel()
	m := Compile(&conf.Frontend{Routes: []conf.Route{{Path: "/mcp"}, {Path: "/mcp/sse"}, {Path: "/b/"}, {Path: "//c/./%64//"}, {Path: "/e%2ff"}}})
	var s Scratch
	for path, want := range map[string]int{
		"/": -1, "*": -1, "/mcp": 0, "/mcp/": 0, "/mcp/ssex": 0, "/mcp/sse": 1, "/mcp/sse/more": 1, "/b": 2, "/b/": 2, "/b/c": 2,
		"//b": 2, "/%62": 2, "/x/../b": 2, "/./b": 2, "/x//../b/c": 2, "/b//": 2, "/../b": 2, "/%2e%2E/b": 2, "/B": -1, "/bx": -1,
		"/x%2F..%2Fb": -1, "/b%2F": -1, "/%2562": -1, "/b/..": -1, "/b/../mcp//sse": 1, "/b;x": -1, "/c/d": 3, "/c%2Fd": -1, "/c": -1, "/e%2Ff": 4, "/e/f": -1,
	} {
		if got := m.Match(&Request{Path: []byte(path)}, &s); got.Route != want || got.Refused != Readable {
			t.Errorf("%s: %+v, want %d", path, got, want)
		}
	}
}

// A redirect to the path with a slash must not hold for that path, or else browsers
// would be redirected for ever; a denial must hold for both.
func TestTrailingSlash(t *testing.T) {
	t.Parallel()
	m := Compile(&conf.Frontend{Routes: []conf.Route{
		{Path: "/api"}, {PathExact: "/api", Slash: conf.WithoutSlash}, {Path: "/deny", Deny: true, Slash: conf.WithSlash}, {Slash: conf.WithSlash}, {Path: "/deny/x"},
	}})
	var s Scratch
	for path, want := range map[string]int{
		"/api": 1, "/%61pi": 1, "/api/": 0, "/api//": 0, "/api/x": 0, "/api/x/": 0, "/deny": 2, "/deny/": 2, "/": 3, "/other": -1, "/other/": 3,
	} {
		if got := m.Match(&Request{Path: []byte(path)}, &s); got.Route != want || got.Refused != Readable {
			t.Errorf("%s: %+v, want %d", path, got, want)
		}
	}
}
