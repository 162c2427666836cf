package discovery

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// notifier says that a file, or what leads to it, may have changed (inotify(7)). It
// works without events where the kernel has none to give: then wait ends by time.
type notifier struct {
	path   string
	file   *os.File      // of inotify; nil = none
	wake   chan struct{} // capacity 1: something has happened
	ended  chan struct{}
	follow func()

	mu      sync.Mutex
	names   map[int32]string // guarded by mu: the directory of each watch
	isOpen  bool             // guarded by mu: a writer has changed the file and not closed it
	isWhole bool             // guarded by mu: it was closed, or moved here, after the last change
}

// watchedEvents are the events of directories that matter.
const watchedEvents = unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB

// newNotifier watches path once follow is called.
func newNotifier(path string) *notifier {
	n := &notifier{path: path, wake: make(chan struct{}, 1), ended: make(chan struct{}), names: map[int32]string{}}
	n.follow = func() {}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		close(n.ended)
		return n
	}
	n.file = os.NewFile(uintptr(fd), "inotify")
	n.follow = func() { n.add(fd) }
	n.follow()
	go n.run()
	return n
}

// add watches every directory that leads to the file. One that is watched already
// stays so.
func (n *notifier) add(fd int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, directory := range directories(n.path) {
		if id, err := unix.InotifyAddWatch(fd, directory, watchedEvents|unix.IN_ONLYDIR); err == nil {
			n.names[int32(id)] = directory
		}
	}
}

// run reads events.
func (n *notifier) run() {
	defer close(n.ended)
	buffer := make([]byte, 64<<10)
	for {
		size, err := n.file.Read(buffer)
		if err != nil {
			return
		}
		n.note(buffer[:size])
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
}

// note notes what events say of the file itself.
func (n *notifier) note(events []byte) {
	real, err := filepath.EvalSymlinks(n.path)
	if err != nil {
		real = n.path
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(events) >= unix.SizeofInotifyEvent {
		id := int32(binary.NativeEndian.Uint32(events))
		mask := binary.NativeEndian.Uint32(events[4:])
		size := int(binary.NativeEndian.Uint32(events[12:]))
		events = events[unix.SizeofInotifyEvent:]
		name := strings.TrimRight(string(events[:min(size, len(events))]), "\x00")
		events = events[min(size, len(events)):]
		if mask&unix.IN_IGNORED != 0 {
			delete(n.names, id)
			continue
		}
		if at := filepath.Join(n.names[id], name); at != real && at != n.path {
			continue
		}
		switch {
		case mask&unix.IN_MODIFY != 0, mask&unix.IN_CREATE != 0 && isRegular(real):
			n.isOpen, n.isWhole = true, false
		case mask&(unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO) != 0:
			n.isOpen, n.isWhole = false, true
		case mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
			n.isOpen, n.isWhole = false, false
		}
	}
}

// isRegular reports whether path is a file that somebody may be writing, and no link.
func isRegular(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// writing reports whether a writer has begun to change the file and not closed it.
func (n *notifier) writing() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.isOpen
}

// closed reports whether the file was closed by its writer, or moved to its place,
// and has not changed since.
func (n *notifier) closed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.isWhole
}

// wait waits for an event, but not longer than d, and returns whether ctx has not
// ended.
func (n *notifier) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-n.wake:
	case <-t.C:
	}
	return ctx.Err() == nil
}

// close ends the watching.
func (n *notifier) close() {
	if n.file != nil {
		n.file.Close()
	}
	<-n.ended
}
