package metrics

import "slices"

// Set is a struct of counters.
type Set interface {
	// Visit calls v for each counter, always in the same order. A name is unique
	// in the set, and keeps its meaning in later versions, since the processes of
	// an upgrade match counters by it.
	Visit(v Visitor)
}

// Visitor receives the counters of a Set.
type Visitor interface {
	Counter(name string, c *Counter)
	// Counters visits an array, whose indexes keep their meaning as names do.
	Counters(name string, c []Counter)
	Max(name string, m *Max)
}

// Counts are the values of a Set's counters, or the sums over several sets of one
// type, at one moment. They are fit for encoding. Counters at zero are absent, and
// so are the zeros at the end of an array. The zero Counts are empty; one
// goroutine at a time may use them.
type Counts struct {
	Sums   map[string][]uint64 // a Counter has one element
	Maxima map[string]uint64
}

// Empty reports whether nothing was counted.
func (c *Counts) Empty() bool { return len(c.Sums)+len(c.Maxima) == 0 }

// Add adds the values of s to c; of maxima it keeps the greater.
func (c *Counts) Add(s Set) { s.Visit((*adder)(c)) }

// Sub returns what was counted after before was taken of the same sets. Maxima
// that have changed are returned as they are.
func (c *Counts) Sub(before *Counts) Counts {
	var grown Counts
	for name, now := range c.Sums {
		if old := before.Sums[name]; !slices.Equal(now, old) {
			grown.addSums(name, subtract(now, old))
		}
	}
	for name, now := range c.Maxima {
		if now != before.Maxima[name] {
			grown.raise(name, now)
		}
	}
	return grown
}

func subtract(now, old []uint64) []uint64 {
	grown := slices.Clone(now)
	for i := range min(len(now), len(old)) {
		grown[i] -= old[i]
	}
	return grown
}

// Restore adds c to the counters of s, and raises the maxima of s to those of c.
// The goroutine that writes s calls it. Names that s does not have are ignored, unless
// it is an Adder.
func (c *Counts) Restore(s Set) {
	c.addNames(s)
	s.Visit((*restorer)(c))
}

// addSums adds values to the array of that name.
func (c *Counts) addSums(name string, values []uint64) {
	if c.Sums == nil {
		c.Sums = map[string][]uint64{}
	}
	sums := c.Sums[name]
	if missing := len(values) - len(sums); missing > 0 {
		sums = append(sums, make([]uint64, missing)...)
		c.Sums[name] = sums
	}
	for i, n := range values {
		sums[i] += n
	}
}

// raise raises the maximum of that name to n.
func (c *Counts) raise(name string, n uint64) {
	if c.Maxima == nil {
		c.Maxima = map[string]uint64{}
	}
	c.Maxima[name] = max(c.Maxima[name], n)
}

// adder is the Visitor of Counts.Add.
type adder Counts

func (a *adder) Counter(name string, c *Counter) {
	if n := c.Load(); n > 0 {
		(*Counts)(a).addSums(name, []uint64{n})
	}
}

func (a *adder) Counters(name string, counters []Counter) {
	for len(counters) > 0 && counters[len(counters)-1].Load() == 0 {
		counters = counters[:len(counters)-1]
	}
	if len(counters) == 0 {
		return
	}
	values := make([]uint64, len(counters))
	for i := range counters {
		values[i] = counters[i].Load()
	}
	(*Counts)(a).addSums(name, values)
}

func (a *adder) Max(name string, m *Max) {
	if n := m.Load(); n > 0 {
		(*Counts)(a).raise(name, n)
	}
}

// restorer is the Visitor of Counts.Restore.
type restorer Counts

func (r *restorer) Counter(name string, c *Counter) {
	if values := r.Sums[name]; len(values) > 0 {
		c.Add(values[0])
	}
}

func (r *restorer) Counters(name string, counters []Counter) {
	values := r.Sums[name]
	for i := range min(len(values), len(counters)) {
		counters[i].Add(values[i])
	}
}

func (r *restorer) Max(name string, m *Max) { m.Observe(r.Maxima[name]) }
