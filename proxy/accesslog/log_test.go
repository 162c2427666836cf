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
	"time"
	"unsafe"
)

// bed is a log under test, with a clock that stands still, and what it told the
// operator.
type bed struct {
	*testing.T
	*Log
	told safeBuffer
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

func begin(t *testing.T, loops int) *bed {
	t.Helper()
	b := &bed{T: t}
	b.Log = New(Options{Loops: loops, Now: func() int64 { return 0 }, Log: slog.New(slog.NewTextHandler(&b.told, nil))})
	t.Cleanup(b.Close)
	return b
}

// use turns the log to a path.
func (b *bed) use(path string) {
	b.Helper()
	opened, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Use(opened)
}

// say ends one record of a loop, whose backend is called text.
func (b *bed) say(loop int, text string) {
	b.Helper()
	r := b.Buffer(loop).Begin()
	if r == nil {
		b.Fatal("the log is off")
	}
	r.Backend = text
	b.Buffer(loop).End(r)
}

// eventually waits until something is so.
func (b *bed) eventually(what string, so func() bool) {
	b.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); runtime.Gosched() {
		if time.Now().After(deadline) {
			b.Fatalf("it did not come to pass: %s; %+v", what, b.Stats())
		}
		time.Sleep(time.Millisecond)
	}
}

// said are the backends of the lines of a file.
func said(t *testing.T, path string) []string {
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
			t.Fatalf("no whole line: %q", line)
		}
		all = append(all, name)
	}
	return all
}

func TestOff(t *testing.T) {
	t.Parallel()
	b := begin(t, 1)
	if b.Buffer(0).Begin() != nil || (*Log)(nil).Buffer(7).Begin() != nil || b.Path() != "" {
		t.Error("a log that is off gives records out")
	}
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	r := b.Buffer(0).Begin()
	b.say(0, "written")
	b.use("")
	b.Buffer(0).End(r) // begun while it was on
	if got := said(t, path); len(got) != 1 || got[0] != "written" {
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

// Lines are in the file within a moment, each loop's in its order, and the file
// is the owner's to write and the group's to read.
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
				b.say(loop, fmt.Sprint(loop, "/", i))
			}
		})
	}
	loops.Wait()
	b.eventually("all is written", func() bool { return b.Stats().Lines == 3*each })
	next := [3]int{}
	for _, name := range said(t, path) {
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

// What waits when the log is closed is written.
func TestCloseWritesWhatWaits(t *testing.T) {
	t.Parallel()
	b := begin(t, 2)
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	b.say(0, "first")
	b.say(1, "second")
	b.Close()
	b.Close() // again is nothing
	if got := said(t, path); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// A rotation loses no line and doubles none, however often it comes.
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
			for b.buffers[0].waiting.Load() >= mostWaiting/2 {
				time.Sleep(time.Millisecond) // a client would come later
			}
			b.say(0, fmt.Sprint(n))
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
		for _, name := range said(t, file) {
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

// A log that follows goes on in the file that another process has made in the
// place of the one moved away, its last line too; until there is one, where it
// was.
func TestFollow(t *testing.T) {
	t.Parallel()
	b := begin(t, 1)
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	b.Follow()
	write := func(text string) {
		t.Helper()
		n := b.Stats().Lines
		b.say(0, text)
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
	b.say(0, "d")
	b.Close()
	for file, want := range map[string]string{path + ".1": "[a b]", path + ".2": "[c]", path: "[d]"} {
		if got := fmt.Sprint(said(t, file)); got != want {
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

// While nobody reads, so many lines wait, and others are dropped and counted.
// When somebody reads at last, those that waited come, whole and in order.
func TestBlockedPipe(t *testing.T) {
	t.Parallel()
	b := begin(t, 1)
	path, reader := pipe(t)
	b.use(path)
	const many = 4 * mostWaiting
	for i := range many {
		b.say(0, fmt.Sprint(i))
	}
	b.eventually("something is dropped", func() bool { return b.Stats().Dropped > 0 })
	lines := bufio.NewScanner(reader)
	last := -1
	for range many - b.Stats().Dropped { // all that come were said before
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		var number int
		if _, err := fmt.Sscanf(backendsOf(t, lines.Text()+"\n")[0], "%d", &number); err != nil || number <= last {
			t.Fatalf("%d comes behind %d: %v", number, last, err)
		}
		last = number
	}
	if last < mostWaiting-1 {
		t.Errorf("only %d lines waited", last)
	}
}

// A pipe that hangs ends neither a change of the path nor the process; the line
// that it got a part of is written anew, whole.
func TestHangingPipeIsLeft(t *testing.T) {
	t.Parallel()
	b := begin(t, 1)
	hangs, reader := pipe(t)
	b.use(hangs)
	const many = 2000
	for i := range many {
		b.say(0, fmt.Sprint(i))
	}
	first := make([]byte, 10)
	if _, err := reader.Read(first); err != nil { // the writer has begun, and hangs
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	b.eventually("the rest is written", func() bool { return b.Stats().Lines == many })
	got := said(t, path)
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
		b.say(0, fmt.Sprint(i))
	}
	b.Close()
	b.eventually("each line is written or dropped", func() bool {
		s := b.Stats()
		return s.Lines+s.Dropped == 2*many && s.Dropped > 0
	})
}

// A disk that is full is told of once; what waits is written when it has room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	b := begin(t, 1)
	b.use("/dev/full")
	b.say(0, "kept")
	b.eventually("it fails", func() bool { return b.Stats().Error != "" })
	if s := b.Stats(); s != (Stats{Error: "no space left on device"}) {
		t.Errorf("%+v", s)
	}
	b.say(0, "behind")
	path := filepath.Join(t.TempDir(), "log")
	b.use(path)
	b.eventually("it is written", func() bool { return b.Stats() == Stats{Lines: 2} })
	if got := said(t, path); len(got) != 2 || got[0] != "kept" || got[1] != "behind" {
		t.Errorf("%q", got)
	}
	told := b.told.String()
	if strings.Count(told, "cannot be written") != 1 || strings.Count(told, "is written again") != 1 || !strings.Contains(told, "path=/dev/full") {
		t.Errorf("told: %s", told)
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
		unread: "it is a named pipe that nobody reads: start its reader first",
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
	b.say(0, "goes on")
	b.Close()
	if got := said(t, filepath.Join(moved, "log")); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// Records are used again: in the long run nothing is allocated, neither by who
// logs nor by the writer, nor while nobody reads.
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
	var most []*Record // as many as will be in use at once
	for range 6000 {
		most = append(most, buffer.Begin())
	}
	for _, r := range most {
		buffer.End(r)
	}
	b.flush(time.Minute)
	if n := testing.AllocsPerRun(50, some); n > 1 { // the writer's timer
		t.Errorf("%v allocations for a hundred records", n)
	}
	hangs, _ := pipe(t)
	b.use(hangs)
	for range 2 * mostWaiting / 100 {
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

// What a connection or request under way takes while the log is on.
func TestMemoryOfARecord(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Record{}); size > 600 {
		t.Errorf("%d bytes", size)
	}
}
