package logqueue

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// unblock makes writes to file fail that would wait for a reader, such as the Go
// runtime's when it prints the stack of a panic, and returns a writer that waits on
// its own. Where that is not possible it returns file.
//
//	pipe, terminal   is opened again: other processes that have it may wait as before
//	socket           is made non-blocking for all that have it, as journald's
//	file             never waits
func unblock(file *os.File) io.Writer {
	raw, err := file.SyscallConn()
	if err != nil {
		return file
	}
	own := -1
	if raw.Control(func(fd uintptr) { own = unblockDescriptor(int(fd)) }) != nil || own < 0 {
		return file
	}
	return os.NewFile(uintptr(own), file.Name())
}

// unblockDescriptor makes a descriptor non-blocking and returns a copy of it; -1 = it
// is one that never waits, or cannot be changed.
func unblockDescriptor(fd int) (own int) {
	var stat unix.Stat_t
	if unix.Fstat(fd, &stat) != nil {
		return -1
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFIFO, unix.S_IFCHR:
		if !reopen(fd) {
			return -1
		}
	case unix.S_IFSOCK:
		if unix.SetNonblock(fd, true) != nil {
			return -1
		}
	default:
		return -1
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1
	}
	return own
}

// reopen replaces a descriptor by another, non-blocking one of the same pipe or
// terminal, unless it is non-blocking already.
func reopen(fd int) bool {
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK != 0 {
		return true
	}
	again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_WRONLY|unix.O_APPEND|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false // not ours to open, or its reader has gone
	}
	defer unix.Close(again)
	return unix.Dup3(again, fd, 0) == nil
}
