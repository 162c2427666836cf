package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Traffic is the measure of what a reload or an upgrade does to clients:
// long-lived connections with a message every moment in both directions, new
// connections, and requests on kept-alive connections, without a pause, until
// it is stopped. Every message is checked for order and content, and every
// failure is counted by its kind. It knows no balancer: the same traffic goes
// through mcplb and through its peers.
//
//	tr := startTraffic(t, trafficLoad(), entrances{tcp, mcp, http})
//	disturb()               // reload, upgrade, kill
//	tr.awaitProgress(t, 10) // so many further messages on every connection
//	tr.stop()
//	tr.expectNoFailure(t)

// load is how much traffic there is.
type load struct {
	held     int           // long-lived connections: a quarter each over tcp, mcp, WebSocket and SSE
	every    time.Duration // between two messages of each
	connects int           // new connections a second
	requests int           // requests a second
}

// trafficLoad is the whole load in a long run, and part of it in every other.
func trafficLoad() load {
	return load{held: full(500, 40), every: 20 * time.Millisecond, connects: full(200, 20), requests: full(500, 50)}
}

// entrances are the addresses that the traffic goes to: two for lines, one for
// HTTP. Lines are answered with themselves; HTTP is as trafficNode serves it.
type entrances struct{ tcp, mcp, http string }

// traffic is under way from startTraffic to stop.
type traffic struct {
	load
	entrances
	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup
	streams []*stream

	messages, connections, answers atomic.Int64 // that went well

	mu       sync.Mutex
	failures map[string]int // guarded by mu; by kind
	examples []string       // guarded by mu; the first of each kind
}

// startTraffic begins, and returns when every long-lived connection has carried
// a message.
func startTraffic(t *testing.T, l load, to entrances) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{load: l, entrances: to, ctx: ctx, cancel: cancel, failures: map[string]int{}}
	t.Cleanup(tr.stop)
	tr.holdMore(l.held)
	tr.working.Go(tr.connectAlways)
	tr.working.Go(tr.requestAlways)
	tr.awaitProgress(t, 1)
	return tr
}

// holdMore begins n further long-lived connections. It must not be called from
// several goroutines.
func (tr *traffic) holdMore(n int) {
	for range n {
		i := len(tr.streams)
		s := &stream{number: i, kind: streamKinds[i%len(streamKinds)]}
		tr.streams = append(tr.streams, s)
		tr.working.Go(func() { tr.hold(s) })
	}
}

// stop ends the traffic and waits for what is under way. Stopping twice does
// nothing.
func (tr *traffic) stop() {
	tr.cancel()
	tr.working.Wait()
}

// awaitProgress waits until every long-lived connection has carried n messages
// more than now.
func (tr *traffic) awaitProgress(t *testing.T, n int64) {
	t.Helper()
	goals := make([]int64, len(tr.streams))
	for i, s := range tr.streams {
		goals[i] = s.carried.Load() + n
	}
	eventually(t, func() error {
		for i, s := range tr.streams {
			if at := s.carried.Load(); at < goals[i] {
				return fmt.Errorf("%s %d is at message %d, and should come to %d; so far:\n%s", s.kind.name, i, at, goals[i], tr)
			}
		}
		return nil
	})
}

// fail counts a failure.
func (tr *traffic) fail(kind string, err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.failures[kind]++; tr.failures[kind] == 1 {
		tr.examples = append(tr.examples, fmt.Sprintf("%s: %v", kind, err))
	}
}

// failed is the number of failures of the kinds that begin with prefix.
func (tr *traffic) failed(prefix string) int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	sum := 0
	for kind, n := range tr.failures {
		if strings.HasPrefix(kind, prefix) {
			sum += n
		}
	}
	return sum
}

// expectNoFailure fails the test for any.
func (tr *traffic) expectNoFailure(t *testing.T) {
	t.Helper()
	t.Logf("%s", tr)
	if tr.failed("") > 0 {
		t.Errorf("traffic failed, such as:\n%s", strings.Join(tr.examples, "\n"))
	}
}

// String tells what was carried and what failed.
func (tr *traffic) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	text := fmt.Sprintf("%d messages on %d held connections, %d new connections, %d requests; failures: ",
		tr.messages.Load(), len(tr.streams), tr.connections.Load(), tr.answers.Load())
	if len(tr.failures) == 0 {
		return text + "none"
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(tr.failures)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, tr.failures[kind]))
	}
	return text + strings.Join(kinds, ", ")
}

// pauses are, in order, the longest time that each long-lived connection had to
// wait for a message since the last call.
func (tr *traffic) pauses() []time.Duration {
	var all []time.Duration
	for _, s := range tr.streams {
		all = append(all, time.Duration(s.longest.Swap(0)))
	}
	slices.Sort(all)
	return all
}

// The kinds of failures. A stream that breaks is opened anew.
const (
	failedConnect    = "new connection refused"
	failedConnection = "new connection broken"
	failedStream     = "stream broken"
	failedOpen       = "stream not reopened"
	failedRequest    = "request lost"
	failedIdle       = "idle connection closed"
)

// connectAlways opens, uses and ends connections, as many a second as the load
// says.
func (tr *traffic) connectAlways() {
	var under sync.WaitGroup
	defer under.Wait()
	room := make(chan struct{}, 64)
	tr.repeat(time.Second/time.Duration(tr.connects), func(n int) {
		select {
		case room <- struct{}{}:
		default:
			return // the machine is busy: as many as it can
		}
		under.Go(func() {
			defer func() { <-room }()
			tr.connectOnce(n)
		})
	})
}

// connectOnce opens one connection, has a line answered and ends it.
func (tr *traffic) connectOnce(n int) {
	address := []string{tr.tcp, tr.mcp}[n%2]
	c, err := dialFrom("", address)
	if err != nil {
		tr.fail(failedConnect, err)
		return
	}
	defer c.Close()
	line := strings.TrimSuffix(string(message("new", n, n, false)), "\n")
	answer, err := c.roundTrip(line)
	switch {
	case err != nil:
		tr.fail(failedConnection, err)
	case answer != line:
		tr.fail(failedConnection, fmt.Errorf("sent %q, got %q", line, answer))
	default:
		tr.connections.Add(1)
	}
}

// repeat calls f at every tick until the traffic ends.
func (tr *traffic) repeat(every time.Duration, f func(n int)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-tr.ctx.Done():
			return
		case <-ticker.C:
			f(n)
		}
	}
}

// message is number n of a connection, with all that it takes to notice a byte
// that is lost, doubled, or another connection's. A large one does not fit a
// read of the balancer's.
func message(kind string, connection, n int, large bool) []byte {
	size := 100
	if large {
		size = 100_000
	}
	text := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping","params":{"of":"%s %d","fill":"`, n, kind, connection)
	fill := strings.Repeat(fmt.Sprintf("%d.", n), size/2)[:size]
	return []byte(text + fill + `"}}` + "\n")
}

// window is how many messages of a stream may be under way.
const window = 8

// stream is a long-lived connection, and the ones after it should it break.
type stream struct {
	number  int
	kind    *streamKind
	carried atomic.Int64 // messages
	longest atomic.Int64 // the longest wait for one, in nanoseconds
}

// hold keeps a stream alive until the traffic ends.
func (tr *traffic) hold(s *stream) {
	for first := true; tr.ctx.Err() == nil; first = false {
		conversation, err := s.kind.open(tr, s.number)
		if err != nil {
			if tr.ctx.Err() == nil && !first {
				tr.fail(failedOpen+": "+s.kind.name, err)
			}
			pause(tr.ctx, 50*time.Millisecond)
			continue
		}
		err = tr.converse(s, conversation)
		conversation.close()
		if err != nil {
			tr.fail(failedStream+": "+s.kind.name, err)
		}
	}
}

// pause waits, if ctx does not end.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// underway is a message on its way.
type underway struct {
	text []byte
	at   time.Time
}

// errNotEchoed says that something else came back than what was sent.
var errNotEchoed = errors.New("what came back is not what was sent")

// converse sends a message at every tick and expects each to come back, in
// order. It ends without an error when the traffic does.
func (tr *traffic) converse(s *stream, c conversation) error {
	ctx, cancel := context.WithCancel(tr.ctx)
	defer cancel()
	sent := make(chan underway, window)
	var sending sync.WaitGroup
	sending.Go(func() {
		defer close(sent)
		tr.say(ctx, s, c, sent)
	})
	defer sending.Wait()
	for m := range sent {
		got, err := c.receive()
		if err == nil && string(got) != string(m.text) {
			err = fmt.Errorf("%w: %.80q is followed by %.80q", errNotEchoed, m.text, got)
		}
		if err != nil {
			cancel()
			c.close() // ends a write under way
			return err
		}
		s.arrived(time.Since(m.at))
		tr.messages.Add(1)
	}
	return nil
}

// say sends until ctx ends. What cannot be sent is not: the reader will see why.
func (tr *traffic) say(ctx context.Context, s *stream, c conversation, sent chan<- underway) {
	ticker := time.NewTicker(tr.every)
	defer ticker.Stop()
	for n := 0; ; n++ {
		m := underway{c.text(s, n), time.Now()}
		select {
		case <-ctx.Done():
			return
		case sent <- m:
		}
		if err := c.send(m.text); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// arrived counts a message that took so long.
func (s *stream) arrived(wait time.Duration) {
	s.carried.Add(1)
	for longest := s.longest.Load(); int64(wait) > longest && !s.longest.CompareAndSwap(longest, int64(wait)); {
		longest = s.longest.Load()
	}
}
