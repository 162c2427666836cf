package proxy

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// filesPerConnection is how many descriptors a client needs: its socket and its
	// server's.
	filesPerConnection = 2
	// reservedFiles are reserved for everything else: listeners, loops, pipes,
	// checks, logs and the admin pages. These work even when maxconn is reached.
	reservedFiles = 200
	// mostPipes is how many pipes (two descriptors each) there may be. When they
	// are all in use, bytes are copied.
	mostPipes = 48
)

// maxConnections returns how many clients the open-files limit allows, or the
// number that the configuration asks for, if the limit is high enough for it.
func maxConnections(asked, limit int) (int, error) {
	if asked == 0 {
		allowed := (limit - reservedFiles) / filesPerConnection
		if allowed < 1 {
			return 0, fmt.Errorf("the open-files limit is %d, too low for any client: raise it above %d (ulimit -n, or LimitNOFILE= in the systemd unit)", limit, reservedFiles+filesPerConnection)
		}
		return allowed, nil
	}
	if needed := asked*filesPerConnection + reservedFiles; needed > limit {
		return 0, fmt.Errorf("global.maxconn = %d needs an open-files limit of %d, and it is %d: raise it (ulimit -n, or LimitNOFILE= in the systemd unit) or lower maxconn to %d",
			asked, needed, limit, max((limit-reservedFiles)/filesPerConnection, 0))
	}
	return asked, nil
}

// openFiles counts this process's descriptors. Linux reports the number as the
// size of /proc/self/fd since 6.2; before, the directory must be read.
func openFiles() int64 {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/self/fd", &stat); err == nil && stat.Size > 0 {
		return stat.Size
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return int64(len(entries))
}

// residentBytes is the memory in use, as the kernel counts it (proc(5), statm).
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * uint64(os.Getpagesize())
}
