package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	const hash = "0123456789abcdef"
	for _, test := range []struct {
		linked, file string
		commit       commit
		want         string
	}{
		{"9.9", "1.2.3\n", commit{hash: hash}, "9.9"},
		{"", "1.2.3\n", commit{}, "1.2.3"},
		{"", "1.2.3\n", commit{hash: hash, dirty: true}, "1.2.3"},
		{"", "1.2.3-dev\n", commit{}, "1.2.3-dev"},
		{"", "1.2.3-dev\n", commit{hash: hash}, "1.2.3-dev+0123456789ab"},
		{"", "1.2.3-dev\n", commit{hash: "0123", dirty: true}, "1.2.3-dev+0123.dirty"},
	} {
		if got := version(test.linked, test.file, test.commit); got != test.want {
			t.Errorf("%+v: version %q, want %q", test, got, test.want)
		}
	}
	if !regexp.MustCompile(`^\S+$`).MatchString(Version()) || strings.Contains(Version(), "devel") {
		t.Errorf("this test has version %q", Version())
	}
}

func TestCommit(t *testing.T) {
	t.Parallel()
	stamped := &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0123"}, {Key: "vcs.time", Value: "2026-01-01T00:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	for _, test := range []struct {
		info    *debug.BuildInfo
		archive string
		want    string
	}{
		{&debug.BuildInfo{}, "$Format:%H %cI$\n", "commit "},
		{&debug.BuildInfo{}, "4567 2026-02-02T00:00:00Z\n", "commit 4567 of 2026-02-02T00:00:00Z"},
		{stamped, "4567 2026-02-02T00:00:00Z\n", "commit 0123 of 2026-01-01T00:00:00Z, with further changes"},
	} {
		if got := commitOf(test.info, test.archive).String(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// The version in the file is that of the newest heading of the changelog: its release,
// or one to come while there is something unreleased.
func TestVersionIsThatOfTheChangelog(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	heading := regexp.MustCompile(`(?m)^## (\S+)`).FindSubmatch(text)
	if heading == nil {
		t.Fatal("the changelog has no heading")
	}
	here, newest := strings.TrimSpace(file), string(heading[1])
	if !regexp.MustCompile(`^\d+\.\d+\.\d+(-dev)?$`).MatchString(here) {
		t.Errorf("the file VERSION has %q", here)
	}
	if unreleased := newest == "Unreleased"; unreleased != strings.HasSuffix(here, "-dev") || !unreleased && newest != here {
		t.Errorf("the file VERSION has %s, and the newest heading of the changelog is %s", here, newest)
	}
}

// A program that is built where there is no repository knows its version, and the
// linker may be given another one.
func TestBuiltVersion(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{
		"": `^mcpnode \d+\.\d+\.\d+(-dev)?\n$`,
		"-X mcplb/cmd/internal/build.linked=7.7.7": `^mcpnode 7\.7\.7\n$`,
	} {
		binary := filepath.Join(t.TempDir(), "mcpnode")
		if said, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags", flags, "-o", binary, "mcplb/cmd/mcpnode").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		if said, err := exec.Command(binary, "-version").CombinedOutput(); err != nil || !regexp.MustCompile(want).Match(said) {
			t.Errorf("%s: it says %q, %v", flags, said, err)
		}
	}
}
