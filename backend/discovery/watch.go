package discovery

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"mcplb/conf"
)

// State is what a Watch knows.
type State struct {
	Servers []conf.Server // as last found, by name; nil = never found
	At      time.Time     // when the source last said which there are; zero = never
	Changed time.Time     // when the servers last changed; zero = never
	Err     error         // why the source cannot say which there are now; nil = it can
	ErrAt   time.Time     // when that began
	Left    int           // servers beyond the most that are wanted
	Updates uint64        // how often the servers changed
	Errors  uint64        // how often the source failed
}

// Watch runs a Source. Its methods may be called by any goroutine.
type Watch struct {
	source  Source
	most    int
	changed func()
	stop    context.CancelFunc
	first   chan struct{} // closed with the first report
	ended   chan struct{}

	mu    sync.Mutex
	state State // guarded by mu
}

// Start runs a source, of which at most most servers are used. known is what was
// known before, such as by another process. changed is called, by the source's
// goroutine, after every change of the servers, and of whether there is an error.
func Start(source Source, most int, known State, changed func()) *Watch {
	ctx, stop := context.WithCancel(context.Background())
	w := &Watch{
		source: source, most: most, changed: changed, stop: stop,
		first: make(chan struct{}), ended: make(chan struct{}), state: known,
	}
	go w.run(ctx)
	return w
}

// run is the goroutine of the source.
func (w *Watch) run(ctx context.Context) {
	defer close(w.ended)
	w.source.Run(ctx, w.report)
}

// Stop ends the source, without waiting: a report may be under way.
func (w *Watch) Stop() { w.stop() }

// Ended is closed once the source has ended.
func (w *Watch) Ended() <-chan struct{} { return w.ended }

// Wait waits until the source has said something, be it an error, or ctx ends.
func (w *Watch) Wait(ctx context.Context) {
	select {
	case <-w.first:
	case <-w.ended:
	case <-ctx.Done():
	}
}

// State returns what is known now.
func (w *Watch) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// report takes over what the source says.
func (w *Watch) report(servers []conf.Server, err error) {
	if w.update(servers, err, time.Now()) {
		w.changed()
	}
	select {
	case <-w.first:
	default:
		close(w.first)
	}
}

// update returns whether the servers are others now, or there is an error where
// there was none or the other way round.
func (w *Watch) update(servers []conf.Server, err error, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.state
	failed := s.Err != nil
	if err != nil {
		if s.Errors++; !failed {
			s.ErrAt = now
		}
		s.Err = err
		return !failed
	}
	s.Err, s.ErrAt, s.At = nil, time.Time{}, now
	servers, s.Left = bounded(servers, w.most)
	if s.Servers != nil && slices.Equal(s.Servers, servers) {
		return failed
	}
	s.Servers, s.Changed = servers, now
	s.Updates++
	return true
}

// bounded returns the servers by name, of too many the first, so that an answer in
// another order is the same; left is how many there are beyond them. It is never
// nil.
func bounded(servers []conf.Server, most int) (kept []conf.Server, left int) {
	kept = append([]conf.Server{}, servers...)
	slices.SortFunc(kept, func(a, b conf.Server) int { return strings.Compare(a.Name, b.Name) })
	kept = slices.CompactFunc(kept, func(a, b conf.Server) bool { return a.Name == b.Name })
	left = max(0, len(kept)-most)
	return kept[:len(kept)-left], left
}
