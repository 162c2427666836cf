//go:build linux

package reactor

import (
	"runtime"
	_ "unsafe" // for linkname
)

// yield begins a new time slice of a goroutine that is locked to its thread.
// Goroutines that wait for its processor run first; if another processor takes it
// meanwhile, it is on another thread afterwards.
//
// It is what runtime.Gosched is, at a fraction of the cost: a locked goroutine passes its
// processor to another thread, which passes it back, in four system calls; and
// Gosched wakes up an idle thread to help, for which there is no work.
func yield() {
	runtime.UnlockOSThread()
	goyield()
	runtime.LockOSThread()
}

// goyield puts the goroutine behind those that wait for its processor. The runtime
// keeps its name and signature (proc.go) for packages that use it so
// (go.dev/issue/67401).
//
//go:linkname goyield runtime.goyield
func goyield()
