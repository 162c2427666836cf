package leak

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of m and exits with their status, or with 1 if they
// passed but left goroutines or descriptors behind.
func Main(m *testing.M, options ...goleak.Option) {
	startPoller()
	before := descriptors()
	status := m.Run()
	if status == 0 {
		status = verify(before, options)
	}
	os.Exit(status)
}

func verify(before map[string]string, options []goleak.Option) int {
	if err := goleak.Find(options...); err != nil {
		fmt.Fprintln(os.Stderr, "leak:", err)
		return 1
	}
	// The runtime may take a moment to close a socket.
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if left = added(before, descriptors()); len(left) == 0 {
			return 0
		}
	}
	fmt.Fprintf(os.Stderr, "leak: %d descriptors were left open: %v\n", len(left), left)
	return 1
}

// startPoller makes the runtime open its poller, which stays open, before
// descriptors are counted.
func startPoller() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

// descriptors maps every open descriptor of this process to what it refers to.
func descriptors() map[string]string {
	open := map[string]string{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return open
	}
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err != nil {
			continue // the directory itself, closed meanwhile
		}
		open[entry.Name()] = target
	}
	return open
}

// added lists the descriptors that are open after but were not before.
func added(before, after map[string]string) []string {
	var left []string
	for fd, target := range after {
		if _, was := before[fd]; !was {
			left = append(left, fd+" -> "+target)
		}
	}
	return left
}
