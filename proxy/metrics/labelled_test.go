package metrics

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// labelledSet is a set of counters by name.
type labelledSet struct{ Labelled[Counter] }

func (s *labelledSet) Visit(v Visitor) {
	s.Each(func(name string, c *Counter) { v.Counter("tool."+name, c) })
}

func (s *labelledSet) AddNames(names []string) {
	for _, name := range names {
		if label, ok := strings.CutPrefix(name, "tool."); ok {
			s.Get([]byte(label))
		}
	}
}

func (s *labelledSet) list() (all []string) {
	s.Each(func(name string, c *Counter) { all = append(all, fmt.Sprintf("%s=%d", name, c.Load())) })
	return all
}

// TestLabelled: names that clients make up do not take memory, and what was counted survives
// an upgrade, also where the new process knows other names already.
func TestLabelled(t *testing.T) {
	t.Parallel()
	var s labelledSet
	if s.Init(2); s.Find([]byte("a")) != nil || s.list() != nil {
		t.Error("it has a name already")
	}
	for _, name := range []string{"a", "b", "c", "a", "other", "d", ""} {
		s.Get([]byte(name)).Add(1)
	}
	if want := []string{"a=2", "b=1", "other=4"}; !slices.Equal(s.list(), want) {
		t.Errorf("%v, want %v", s.list(), want)
	}
	var counts Counts
	counts.Add(&s)
	var next labelledSet
	next.Init(2)
	next.Get([]byte("b")).Add(10)
	next.Get([]byte("x")).Add(10)
	counts.Restore(&next)
	if want := []string{"b=11", "other=4", "x=10"}; !slices.Equal(next.list(), want) {
		t.Errorf("restored: %v, want %v", next.list(), want)
	}
	var zero Labelled[Counter]
	if zero.Get([]byte("a")) != zero.Get([]byte("b")) {
		t.Error("the zero value has room")
	}
}

func TestLabelledTogether(t *testing.T) {
	t.Parallel()
	var s labelledSet
	s.Init(50)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 1000 {
				s.Get(fmt.Appendf(nil, "n%d", i%60)).Add(1)
			}
		})
	}
	group.Wait()
	var sum uint64
	s.Each(func(_ string, c *Counter) { sum += c.Load() })
	if n := len(s.list()); sum != 4000 || n != 51 {
		t.Errorf("%d counted under %d names", sum, n)
	}
}

func TestLabelledAllocatesNothing(t *testing.T) {
	var s labelledSet
	s.Init(5)
	name := []byte("tool")
	s.Get(name)
	if n := testing.AllocsPerRun(100, func() { s.Get(name).Add(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
