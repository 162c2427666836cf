package reactor

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// pipeLog is a System whose pipes are only numbers; it records which are
// closed.
type pipeLog struct {
	next   int
	closed []int
	fails  unix.Errno
}

func (p *pipeLog) system() *System {
	s := Kernel()
	s.Pipe = func(int) (int, int, unix.Errno) {
		if p.fails != 0 {
			return -1, -1, p.fails
		}
		p.next += 2
		return p.next - 2, p.next - 1, 0
	}
	s.Close = func(fd int) unix.Errno {
		p.closed = append(p.closed, fd)
		return 0
	}
	return s
}

func TestPipeLimit(t *testing.T) {
	t.Parallel()
	var log pipeLog
	pool := pipePool{system: log.system(), limit: 3}
	var lent []*Pipe
	for range 3 {
		lent = append(lent, pool.get())
	}
	if slices.Contains(lent, nil) {
		t.Fatal("no pipe below the limit")
	}
	if pool.get() != nil {
		t.Error("a fourth pipe, with a limit of three")
	}
	pool.put(lent[1])
	if again := pool.get(); again != lent[1] {
		t.Error("the returned pipe was not lent again")
	}
	if log.next != 6 || len(log.closed) != 0 {
		t.Errorf("%d descriptors opened, %v closed; want 6, none", log.next, log.closed)
	}
	none := pipePool{system: log.system()}
	if none.get() != nil {
		t.Error("a pipe with a limit of 0")
	}
}

func TestPipeWithBytesIsClosed(t *testing.T) {
	t.Parallel()
	var log pipeLog
	pool := pipePool{system: log.system(), limit: 1}
	pipe := pool.get()
	pipe.held = 1
	pool.put(pipe)
	if !slices.Equal(log.closed, []int{0, 1}) || len(pool.free) != 0 || len(pool.made) != 0 {
		t.Fatalf("closed %v, %d free, %d made; want both ends closed and nothing kept", log.closed, len(pool.free), len(pool.made))
	}
	if fresh := pool.get(); fresh == nil || fresh == pipe || fresh.Held() != 0 {
		t.Errorf("its place under the limit was not freed: %v", fresh)
	}
}

func TestPipeFails(t *testing.T) {
	t.Parallel()
	log := pipeLog{fails: unix.EMFILE}
	pool := pipePool{system: log.system(), limit: 1}
	for range 3 {
		if pool.get() != nil {
			t.Fatal("a pipe though pipe(2) failed")
		}
	}
	log.fails = 0
	if pool.get() == nil {
		t.Error("failures were counted as pipes")
	}
}

func TestPoolClosesLentPipes(t *testing.T) {
	t.Parallel()
	var log pipeLog
	pool := pipePool{system: log.system(), limit: 4}
	pool.get()
	back := pool.get()
	pool.get().held = 5
	pool.put(back)
	pool.close()
	slices.Sort(log.closed)
	if !slices.Equal(log.closed, []int{0, 1, 2, 3, 4, 5}) {
		t.Errorf("closed %v, want 0 to 5, each once", log.closed)
	}
}

// TestPipesAreShared divides a limit among loops: together they hold no more.
func TestPipesAreShared(t *testing.T) {
	for _, c := range []struct {
		loops, pipes int
		want         []int
	}{
		{1, 0, []int{0}}, {3, 0, []int{0, 0, 0}}, {2, 1, []int{1, 0}}, {3, 8, []int{3, 3, 2}}, {2, 8, []int{4, 4}},
	} {
		e, err := Start(c.loops, c.pipes, Kernel())
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, l := range e.Loops() {
			got = append(got, l.pipes.limit)
		}
		e.Stop()
		if !slices.Equal(got, c.want) {
			t.Errorf("%d pipes for %d loops: %v, want %v", c.pipes, c.loops, got, c.want)
		}
	}
}
