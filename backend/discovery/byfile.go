package discovery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mcplb/conf"
)

// mostFile is the largest file of servers, in bytes.
const mostFile = 16 << 20

const (
	// pollTime is how often a file is looked at, whether the kernel reports changes or
	// not: it does not for file systems of other machines.
	pollTime = time.Second
	// settleTime is how long a changed file must stay as it is before it is read, where
	// the kernel does not say that its writer has closed it.
	settleTime = 500 * time.Millisecond
	// writeTime is how long a writer that keeps the file open is waited for after its
	// last change.
	writeTime = 10 * time.Second
	// drainTime is how long events that belong to a change may take to arrive.
	drainTime = 25 * time.Millisecond
)

// byFile finds servers in a file.
//
//	state     event                                       next
//	read      the file is another, or has changed         pending
//	pending   it changes again                            pending, from the start
//	pending   it has not changed for settleTime, or its   read, and reported
//	          writer has closed it
//	pending   a writer has it open                        pending, up to writeTime after its
//	                                                      last change
//	any       it has 0 bytes, or is gone                  missing, and reported after settleTime
//	missing   it is there                                 pending
type byFile struct {
	settings *conf.Discover

	seen     stampOf   // of the file that was last looked at
	seenAt   time.Time // when it began to look so
	reported bool      // what was seen is reported
}

// stampOf is what tells a file from another, and from itself after a change. The zero
// value is that of a file that is not there.
type stampOf struct {
	device, inode uint64
	size          int64
	modified      time.Time
	changed       syscall.Timespec
}

// Run implements Source.
func (f *byFile) Run(ctx context.Context, report func([]conf.Server, error)) {
	events := newNotifier(f.settings.File)
	defer events.close()
	f.look(time.Now(), events)
	f.read(report) // at a start there is nothing better than what is there
	for {
		events.follow()
		if !events.wait(ctx, f.pause(events)) {
			return
		}
		if now := time.Now(); f.look(now, events) {
			f.read(report)
		}
	}
}

// pause is how long to wait for an event before the file is looked at again.
func (f *byFile) pause(events *notifier) time.Duration {
	switch {
	case f.reported:
		return pollTime
	case events.closed():
		return drainTime
	}
	return settleTime / 4
}

// look looks at the file and returns whether it is to be read now.
func (f *byFile) look(now time.Time, events *notifier) bool {
	stamp := stampAt(f.settings.File)
	if stamp != f.seen {
		f.seen, f.seenAt, f.reported = stamp, now, false
	}
	quiet := now.Sub(f.seenAt)
	switch {
	case f.reported:
		return false
	case events.closed():
		return stamp.size > 0 && quiet >= drainTime || quiet >= settleTime
	case events.writing():
		return quiet >= writeTime
	}
	return quiet >= settleTime
}

// stampAt returns the stamp of the file that path leads to.
func stampAt(path string) stampOf {
	info, err := os.Stat(path)
	if err != nil {
		return stampOf{}
	}
	s := stampOf{size: info.Size(), modified: info.ModTime()}
	if system, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode, s.changed = uint64(system.Dev), system.Ino, system.Ctim
	}
	return s
}

var errBeingWritten = errors.New("it has 0 bytes, as while it is being written: write servers = [] if there are none")

// read reads the file and reports what it says.
func (f *byFile) read(report func([]conf.Server, error)) {
	f.reported = true
	before := f.seen
	text, err := conf.ReadFile(f.settings.File, mostFile)
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("%s: %w", f.settings.File, errBeingWritten)
	}
	if err != nil {
		report(nil, err)
		return
	}
	servers, err := conf.ParseServers(f.settings.File, text, f.settings)
	if stampAt(f.settings.File) != before {
		f.reported = false // it changed while it was read: this may be half of it
		return
	}
	report(servers, err)
}

// directories returns the directories in which a change may make path another file:
// its own, and those of the files that links on the way name.
func directories(path string) (all []string) {
	const mostLinks = 16
	for range mostLinks {
		all = append(all, filepath.Dir(path))
		if real, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil && real != filepath.Dir(path) {
			all = append(all, real)
		}
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return all
}
