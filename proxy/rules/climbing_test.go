package rules

import (
	"strings"
	"testing"
)

// A path that some server reads as leading above its root must not be put behind a
// prefix: a tenant would reach the others' paths.
func TestClimbs(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/": false, "/a/b": false, "/a%2Fb": false, "/a;x=1/b": false, "/caf%C3%A9": false, "/100%25": false, "/a..b": false, "/...": false,
		"/..a/b": false, "/a/..;x=1/b": false, "/a/..%2Fb": false, "/a%2F..": false, "/a%20b/.hidden": false, "/%25": false, "/a%2F%2Fb": false,
		"/..%2Fx": true, "/..%5Cx": true, "/..;/x": true, "/..;v=1": true, "/..%3Bv=1": true, "/a/..%2F..%2Fx": true, "/a%2F..%2F..": true,
		"/a/..;/..;/x": true, "/%252e%252e/x": true, "/..%252Fx": true, "/.%252e%5Cx": true, "/a%2Fb/..;/..;/c": true, "/.%2F..%2Fx": true,
		"/a%2F%2F..%2F..%2Fx": true, "/x%2500": true,
		"/" + strings.Repeat("%2F;..%5C%3B", 4000): true,
	} {
		if got := new(Scratch).Climbs([]byte(path)); got != want {
			t.Errorf("%.60s: %v", path, got)
		}
	}
}
