package build

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	module := debug.Module{Version: "v1.2.3"}
	revision := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0123456789abcdef"}}
	for want, info := range map[string]debug.BuildInfo{
		"0123456789ab": {Main: module, Settings: revision},
		"v1.2.3":       {Main: module},
		"unknown":      {},
	} {
		if got := version(&info); got != want {
			t.Errorf("version %q, want %q", got, want)
		}
	}
	if Version() == "" {
		t.Error("this test has no version")
	}
}
