package ratelimit

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
	"unsafe"
)

func TestSourceIsOneCacheLine(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Source{}); size != cacheLine {
		t.Errorf("a source takes %d bytes", size)
	}
}

// A million sources, none of which may be forgotten early, take under 150 MB of
// live heap and under 300 MB resident, the collector's share included.
func TestMemoryOfAMillionSources(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has its own memory")
	}
	const sources, mega = 1_000_000, 1 << 20
	debug.FreeOSMemory()
	heap, resident := liveHeap(), residentMemory(t)
	l := New(everything)
	for i := range sources {
		s, _ := l.Admit(numbered(i), 0)
		s.Release()
	}
	peak := residentMemory(t) - resident
	start := time.Now()
	heap = liveHeap() - heap
	collection := time.Since(start)
	stats := l.Stats(0)
	t.Logf("%d sources: %d MB live, %d MB resident, a full collection takes %v", stats.Sources, heap/mega, peak/mega, collection)
	if stats.Sources < sources*95/100 {
		t.Errorf("only %d sources are remembered", stats.Sources)
	}
	if heap > 150*mega || peak > 300*mega {
		t.Errorf("%d MB live, %d MB resident", heap/mega, peak/mega)
	}
	runtime.KeepAlive(l)
}

func liveHeap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// residentMemory reads the process's resident memory in bytes (proc(5), statm).
func residentMemory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(text)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
