package accesslog

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// fixture is a log under test, with a stopped clock, and its reports to the
// operator.
type fixture struct {
	*testing.T
	*Log
	reports safeBuffer
}

// safeBuffer is a buffer that one goroutine writes and another reads.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func begin(t *testing.T, loops int) *fixture {
	t.Helper()
	b := &fixture{T: t}
	b.Log = New(Options{Loops: loops, Now: func() int64 { return 0 }, Log: slog.New(slog.NewTextHandler(&b.reports, nil))})
	t.Cleanup(b.Close)
	return b
}

// use makes the log write to a path.
func (b *fixture) use(path string) {
	b.Helper()
	opened, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Use(opened)
}

// log ends one record of a loop, with text as its backend.
func (b *fixture) log(loop int, text string) {
	b.Helper()
	r := b.Buffer(loop).Begin()
	if r == nil {
		b.Fatal("the log is off")
	}
	r.Backend = text
	b.Buffer(loop).End(r)
}

// eventually waits until so returns true.
func (b *fixture) eventually(what string, so func() bool) {
	b.Helper()
	for deadline := time.Now().Add(syslogPatience); !so(); runtime.Gosched() {
		if time.Now().After(deadline) {
			b.Fatalf("timed out waiting until %s; %+v", what, b.Stats())
		}
		time.Sleep(time.Millisecond)
	}
}

// backendsIn returns the backends of the lines of a file.
func backendsIn(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return backendsOf(t, string(text))
}

func backendsOf(t *testing.T, text string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(text) {
		_, rest, ok := strings.Cut(line, " backend=")
		name, _, _ := strings.Cut(rest, " ")
		if !ok || !strings.HasPrefix(line, "time=") || !strings.HasSuffix(line, "server_conns=0\n") {
			t.Fatalf("not a complete line: %q", line)
		}
		all = append(all, name)
	}
	return all
}

func TestOff(t *testing.T) {
	t.Parallel()
	b := begin(t, 1)
	if b.Buffer(0).Begin() != nil || (*Log)(nil).Buffer(7).Begin() != nil || b.Path() != "" {
		t.Error("a log that is off returns records")
	}
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	r := b.Buffer(0).Begin()
	b.log(0, "written")
	b.use("")
	b.Buffer(0).End(r) // begun while it was on
	if got := backendsIn(t, path); len(got) != 1 || got[0] != "written" {
		t.Errorf("%q", got)
	}
	if b.Buffer(0).Begin() != nil || b.Path() != "" {
		t.Error("it is still on")
	}
	if err := b.Reopen(); err != nil {
		t.Error(err)
	}
	if s := b.Stats(); s != (Stats{Lines: 1}) {
		t.Errorf("%+v", s)
	}
}

// TestWritten checks that lines are soon in the file, each loop's in order, and
// that the owner may write the file and the group read it.
func TestWritten(t *testing.T) {
	t.Parallel()
	b := begin(t, 3)
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	const each = 1000
	var loops sync.WaitGroup
	for loop := range 3 {
		loops.Go(func() {
			for i := range each {
				b.log(loop, fmt.Sprint(loop, "/", i))
			}
		})
	}
	loops.Wait()
	b.eventually("all is written", func() bool { return b.Stats().Lines == 3*each })
	next := [3]int{}
	for _, name := range backendsIn(t, path) {
		var loop, i int
		if _, err := fmt.Sscanf(name, "%d/%d", &loop, &i); err != nil || i != next[loop] {
			t.Fatalf("%s came as number %v: %v", name, next, err)
		}
		next[loop]++
	}
	if next != [3]int{each, each, each} {
		t.Errorf("%v", next)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// TestCloseWritesWaitingRecords checks that Close writes the waiting records.
func TestCloseWritesWaitingRecords(t *testing.T) {
	t.Parallel()
	b := begin(t, 2)
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	b.log(0, "first")
	b.log(1, "second")
	b.Close()
	b.Close() // a second call does nothing
	if got := backendsIn(t, path); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// TestCloseOnABusyMachine checks that Close loses no line if the writer does not run for
// a while, which is no write that hangs.
func TestCloseOnABusyMachine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Loops: 1, Log: slog.New(slog.DiscardHandler), Now: func() int64 {
			time.Sleep(time.Minute) // the writer stands still before it writes
			return 0
		}})
		opened, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		l.Use(opened)
		b := l.Buffer(0)
		b.End(b.Begin())
		l.Close()
		if got := l.Stats(); got.Lines != 1 || got.Dropped != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// TestRotation checks that rotation, however frequent, neither loses nor
// duplicates a line.
func TestRotation(t *testing.T) {
	t.Parallel()
	b := begin(t, 1)
	directory := t.TempDir()
	path := filepath.Join(directory, "log")
	b.use(path)
	done := make(chan struct{})
	n := 0
	go func() {
		defer close(done)
		for stop := time.Now().Add(time.Second); time.Now().Before(stop); n++ {
			for b.buffers[0].waiting.Load() >= maxWaiting/2 {
				time.Sleep(time.Millisecond) // a client would arrive later
			}
			b.log(0, fmt.Sprint(n))
		}
	}()
	moved := 0
	for running := true; running; moved++ {
		select {
		case <-done:
			running = false
		default:
		}
		if err := os.Rename(path, fmt.Sprintf("%s.%06d", path, moved)); err != nil {
			t.Fatal(err)
		}
		if err := b.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files[1:], files[0]) // the last one has no number
	next := 0
	for _, file := range files {
		for _, name := range backendsIn(t, file) {
			if name != fmt.Sprint(next) {
				t.Fatalf("%s: %s, want %d", file, name, next)
			}
			next++
		}
	}
	if s := b.Stats(); next != n || s.Lines != uint64(n) || s.Dropped != 0 {
		t.Errorf("%d lines of %d in %d files, %+v", next, n, len(files), s)
	}
}

// TestFollow checks that a log that follows continues in the file that another
// process creates at the path, including its last line, and until then in the
// moved file.
func TestFollow(t *testing.T) {
	t.Parallel()
	b := begin(t, 1)
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	b.Follow()
	write := func(text string) {
		t.Helper()
		n := b.Stats().Lines
		b.log(0, text)
		b.eventually("it is written", func() bool { return b.Stats().Lines > n })
	}
	move := func(to string) {
		t.Helper()
		if err := os.Rename(path, path+to); err != nil {
			t.Fatal(err)
		}
	}
	another := func() {
		t.Helper()
		if err := os.WriteFile(path, nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write("a")
	move(".1")
	write("b")
	another()
	write("c")
	move(".2")
	another()
	b.log(0, "d")
	b.Close()
	for file, want := range map[string]string{path + ".1": "[a b]", path + ".2": "[c]", path: "[d]"} {
		if got := fmt.Sprint(backendsIn(t, file)); got != want {
			t.Errorf("%s has %s, want %s", file, got, want)
		}
	}
}

// pipe makes a named pipe and opens it for reading.
func pipe(t *testing.T) (path string, reader *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return path, reader
}

// TestBlockedPipe checks that without a reader a limited number of lines wait
// and others are dropped and counted. When a reader comes, the waiting lines
// arrive, complete and in order.
func TestBlockedPipe(t *testing.T) {
	t.Parallel()
	b := begin(t, 1)
	path, reader := pipe(t)
	b.use(path)
	const many = 4 * maxWaiting
	for i := range many {
		b.log(0, fmt.Sprint(i))
	}
	b.eventually("something is dropped", func() bool { return b.Stats().Dropped > 0 })
	lines := bufio.NewScanner(reader)
	last := -1
	for range many - b.Stats().Dropped { // all lines that arrive were logged before
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		var number int
		if _, err := fmt.Sscanf(backendsOf(t, lines.Text()+"\n")[0], "%d", &number); err != nil || number <= last {
			t.Fatalf("%d comes after %d: %v", number, last, err)
		}
		last = number
	}
	if last < maxWaiting-1 {
		t.Errorf("only %d lines waited", last)
	}
}

// TestHangingPipeIsLeft checks that a hanging pipe blocks neither a change of
// the path nor the process; a line written in part is written again,
// completely.
func TestHangingPipeIsLeft(t *testing.T) {
	t.Parallel()
	b := begin(t, 1)
	hangs, reader := pipe(t)
	b.use(hangs)
	const many = 2000
	for i := range many {
		b.log(0, fmt.Sprint(i))
	}
	first := make([]byte, 10)
	if _, err := reader.Read(first); err != nil { // the writer has begun, and hangs
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	b.eventually("the rest is written", func() bool { return b.Stats().Lines == many })
	got := backendsIn(t, path)
	if len(got) == 0 || got[len(got)-1] != fmt.Sprint(many-1) {
		t.Fatalf("%d lines", len(got))
	}
	for i, name := range got {
		if want := fmt.Sprint(many - len(got) + i); name != want {
			t.Fatalf("%s, want %s", name, want)
		}
	}
	b.use(hangs)
	for i := range many {
		b.log(0, fmt.Sprint(i))
	}
	b.Close()
	b.eventually("each line is written or dropped", func() bool {
		s := b.Stats()
		return s.Lines+s.Dropped == 2*many && s.Dropped > 0
	})
}

// TestFullDisk checks that a full disk is reported once, and that the waiting
// lines are written when there is space.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	b := begin(t, 1)
	b.use("/dev/full")
	b.log(0, "kept")
	b.eventually("it fails", func() bool { return b.Stats().Error != "" })
	if s := b.Stats(); s != (Stats{Error: "no space left on device"}) {
		t.Errorf("%+v", s)
	}
	b.log(0, "behind")
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	b.eventually("it is written", func() bool { return b.Stats() == Stats{Lines: 2} })
	if got := backendsIn(t, path); len(got) != 2 || got[0] != "kept" || got[1] != "behind" {
		t.Errorf("%q", got)
	}
	reports := b.reports.String()
	if strings.Count(reports, "cannot be written") != 1 || strings.Count(reports, "is written again") != 1 || !strings.Contains(reports, "path=/dev/full") {
		t.Errorf("reported: %s", reports)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	unread := filepath.Join(directory, "pipe")
	if err := syscall.Mkfifo(unread, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		directory: "is a directory",
		filepath.Join(directory, "absent", "log"): "no such file or directory",
		unread: "it is a named pipe without a reader: start its reader first",
	} {
		if _, err := Open(path); err == nil || err.Error() != "global.access_log: cannot write to "+path+": "+want {
			t.Errorf("%v, want ...%s", err, want)
		}
	}
	b := begin(t, 1)
	path := filepath.Join(directory, "sub", "log")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	b.use(path)
	moved := filepath.Join(directory, "moved")
	if err := os.Rename(filepath.Dir(path), moved); err != nil {
		t.Fatal(err)
	}
	if err := b.Reopen(); err == nil || !strings.Contains(err.Error(), "reopen the access log: global.access_log: cannot write") {
		t.Errorf("%v", err)
	}
	b.log(0, "continues")
	b.Close()
	if got := backendsIn(t, filepath.Join(moved, "log")); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// TestNoAllocations checks that records are reused: in the long run neither
// loops nor the writer allocate, even without a reader.
func TestNoAllocations(t *testing.T) {
	b := begin(t, 1)
	b.use(filepath.Join(t.TempDir(), "log"))
	path := []byte("/mcp")
	buffer := b.Buffer(0)
	some := func() {
		for range 100 {
			r := buffer.Begin()
			r.SetTarget(path, path)
			buffer.End(r)
		}
	}
	var most []*Record // the most in use at once
	for range 6000 {
		most = append(most, buffer.Begin())
	}
	for _, r := range most {
		buffer.End(r)
	}
	b.flush()
	if n := testing.AllocsPerRun(50, some); n > 1 { // the writer's timer
		t.Errorf("%v allocations for a hundred records", n)
	}
	hangs, _ := pipe(t)
	b.use(hangs)
	for range 2 * maxWaiting / 100 {
		some()
	}
	b.eventually("records are dropped", func() bool { some(); return b.Stats().Dropped > 1000 })
	if n := testing.AllocsPerRun(50, some); n > 1 {
		t.Errorf("%v allocations for a hundred records that are dropped", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	l := New(Options{Loops: 1, Now: func() int64 { return 0 }, Log: slog.Default()})
	defer l.Close()
	opened, err := Open(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	l.Use(opened)
	buffer := l.Buffer(0)
	method, path := []byte("POST"), []byte("/mcp")
	b.ReportAllocs()
	for b.Loop() {
		r := buffer.Begin()
		r.SetTarget(method, path)
		buffer.End(r)
	}
	b.ReportMetric(float64(l.Stats().Dropped)/float64(b.N), "dropped/op")
}

func BenchmarkFormat(b *testing.B) {
	r := exchange()
	var dst []byte
	b.ReportAllocs()
	s := someday()
	for b.Loop() {
		dst = appendText(dst[:0], &r, s)
	}
	b.SetBytes(int64(len(dst)))
}

// TestMemoryOfARecord limits the memory of a connection or request while the
// log is on.
func TestMemoryOfARecord(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Record{}); size > 640 { // a size class of the allocator
		t.Errorf("%d bytes", size)
	}
}
