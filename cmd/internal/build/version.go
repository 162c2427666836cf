package build

import (
	_ "embed"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// linked is the version that the linker was given:
//
//	go build -ldflags "-X mcplb/cmd/internal/build.linked=1.2.3" ./cmd/...
var linked string

//go:embed VERSION
var file string // the version of the source, "-dev" behind it between two releases

//go:embed archive.txt
var archive string // "COMMIT DATE" in what git archive makes, otherwise a placeholder

// Version is the version in one word, such as 1.2.3 or 1.3.0-dev+0123456789ab: what the
// linker was given, or else the source's, with the commit between two releases. It is
// never empty.
func Version() string { return version(linked, file, commitOf(info(), archive)) }

// Describe is Version and, in further lines, the commit if it is known, the version of
// Go and the system.
func Describe() string {
	text := Version() + "\n"
	if c := commitOf(info(), archive); c.hash != "" {
		text += c.String() + "\n"
	}
	return text + fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func info() *debug.BuildInfo {
	if known, ok := debug.ReadBuildInfo(); ok {
		return known
	}
	return &debug.BuildInfo{}
}

// commit is what a program was built from; without a hash it is not known.
type commit struct {
	hash, date string
	dirty      bool // there were changes that were not committed
}

func (c commit) String() string {
	text := "commit " + c.hash
	if c.date != "" {
		text += " of " + c.date
	}
	if c.dirty {
		text += ", with further changes"
	}
	return text
}

// commitOf finds the commit in what the go command has recorded, or in the archive.
func commitOf(info *debug.BuildInfo, archive string) (c commit) {
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			c.hash = setting.Value
		case "vcs.time":
			c.date = setting.Value
		case "vcs.modified":
			c.dirty = setting.Value == "true"
		}
	}
	if hash, date, _ := strings.Cut(strings.TrimSpace(archive), " "); c.hash == "" && !strings.HasPrefix(hash, "$") {
		return commit{hash: hash, date: date}
	}
	return c
}

// shortHash is how much of a commit's hash stands in a version.
const shortHash = 12

func version(linked, file string, c commit) string {
	if linked != "" {
		return linked
	}
	version := strings.TrimSpace(file)
	if strings.HasSuffix(version, "-dev") && c.hash != "" {
		version += "+" + c.hash[:min(len(c.hash), shortHash)]
		if c.dirty {
			version += ".dirty"
		}
	}
	return version
}
