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

// Traffic measures what a reload or an upgrade does to clients: long-lived
// connections with continuous messages in both directions, new connections, and
// requests on kept-alive connections, until it is stopped. The order and content of
// every message is checked, and every failure is counted by its kind. It does not
// depend on the balancer: the same traffic goes through mcplb and its peers.
//
//	tr := startTraffic(t, trafficLoad(), entrances{tcp, mcp, http})
//	disturb()               // reload, upgrade, kill
//	tr.awaitProgress(t, 10) // 10 further messages on every connection
//	tr.stop()
//	tr.expectNoFailure(t)

// load is the amount of traffic.
type load struct {
	held     int           // long-lived connections: a quarter each over tcp, mcp, WebSocket and SSE
	every    time.Duration // between two messages of each
	connects int           // new connections per second
	requests int           // requests per second
}

// trafficLoad is the full load in a long run, and part of it in other runs.
func trafficLoad() load {
	return load{held: full(500, 40), every: 20 * time.Millisecond, connects: full(200, 20), requests: full(500, 50)}
}

// entrances are the addresses of the balancer: two for lines, one for HTTP. Lines are
// echoed; HTTP is served by trafficNode.
type entrances struct{ tcp, mcp, http string }

// traffic is traffic in progress, from startTraffic to stop.
type traffic struct {
	load
	entrances
	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup
	streams []*stream

	messages, connections, answers atomic.Int64 // the successful ones

	mu       sync.Mutex
	failures map[string]int // guarded by mu; by kind
	examples []string       // guarded by mu; the first of each kind
}

// startTraffic starts traffic and returns when every long-lived connection has
// carried a message.
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

// holdMore opens n further long-lived connections. One goroutine at a time may call
// it.
func (tr *traffic) holdMore(n int) {
	for range n {
		i := len(tr.streams)
		s := &stream{number: i, kind: streamKinds[i%len(streamKinds)]}
		tr.streams = append(tr.streams, s)
		tr.working.Go(func() { tr.hold(s) })
	}
}

// stop ends the traffic and waits for messages in progress. A second call does
// nothing.
func (tr *traffic) stop() {
	tr.cancel()
	tr.working.Wait()
}

// awaitProgress waits until every long-lived connection has carried n further
// messages.
func (tr *traffic) awaitProgress(t *testing.T, n int64) {
	t.Helper()
	goals := make([]int64, len(tr.streams))
	for i, s := range tr.streams {
		goals[i] = s.carried.Load() + n
	}
	eventually(t, func() error {
		for i, s := range tr.streams {
			if at := s.carried.Load(); at < goals[i] {
				return fmt.Errorf("%s %d is at message %d, want %d; so far:\n%s", s.kind.name, i, at, goals[i], tr)
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

// failed is the number of failures whose kind begins with prefix.
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

// expectNoFailure fails the test if there is a failure.
func (tr *traffic) expectNoFailure(t *testing.T) {
	t.Helper()
	t.Logf("%s", tr)
	if tr.failed("") > 0 {
		t.Errorf("traffic failed, such as:\n%s", strings.Join(tr.examples, "\n"))
	}
}

// String summarizes the traffic and its failures.
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

// pauses are the longest waits for a message since the last call, one per long-lived
// connection, sorted.
func (tr *traffic) pauses() []time.Duration {
	var all []time.Duration
	for _, s := range tr.streams {
		all = append(all, time.Duration(s.longest.Swap(0)))
	}
	slices.Sort(all)
	return all
}

// The kinds of failures. A stream that breaks is opened again.
const (
	failedConnect    = "new connection refused"
	failedConnection = "new connection broken"
	failedStream     = "stream broken"
	failedOpen       = "stream not reopened"
	failedRequest    = "request lost"
	failedIdle       = "idle connection closed"
)

// connectAlways opens, uses and ends connections, at the rate of the load.
func (tr *traffic) connectAlways() {
	var under sync.WaitGroup
	defer under.Wait()
	slots := make(chan struct{}, 64)
	tr.repeat(time.Second/time.Duration(tr.connects), func(n int) {
		select {
		case slots <- struct{}{}:
		default:
			return // the machine is busy and cannot do more
		}
		under.Go(func() {
			defer func() { <-slots }()
			tr.connectOnce(n)
		})
	})
}

// connectOnce opens one connection, expects one answer and closes it.
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

// message is message number n of a connection. Its content reveals bytes that are
// lost, duplicated, or of another connection. A large one exceeds a read of the
// balancer.
func message(kind string, connection, n int, large bool) []byte {
	size := 100
	if large {
		size = 100_000
	}
	text := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping","params":{"of":"%s %d","fill":"`, n, kind, connection)
	fill := strings.Repeat(fmt.Sprintf("%d.", n), size/2)[:size]
	return []byte(text + fill + `"}}` + "\n")
}

// window is the largest number of messages of a stream in flight.
const window = 8

// stream is a long-lived connection, replaced by another one if it breaks.
type stream struct {
	number  int
	kind    *streamKind
	carried atomic.Int64 // messages
	longest atomic.Int64 // the longest wait for a message, in nanoseconds
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

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// inFlight is a message in flight.
type inFlight struct {
	text []byte
	at   time.Time
}

// errNotEchoed is the error if the answer differs from the message.
var errNotEchoed = errors.New("what came back is not what was sent")

// converse sends a message at every tick and expects them back in order. It returns
// no error when the traffic ends.
func (tr *traffic) converse(s *stream, c conversation) error {
	ctx, cancel := context.WithCancel(tr.ctx)
	defer cancel()
	sent := make(chan inFlight, window)
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
			c.close() // ends a pending write
			return err
		}
		s.arrived(time.Since(m.at))
		tr.messages.Add(1)
	}
	return nil
}

// say sends messages until ctx ends or a write fails: the reader sees why.
func (tr *traffic) say(ctx context.Context, s *stream, c conversation, sent chan<- inFlight) {
	ticker := time.NewTicker(tr.every)
	defer ticker.Stop()
	for n := 0; ; n++ {
		m := inFlight{c.text(s, n), time.Now()}
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

// arrived counts a message and the time that it took.
func (s *stream) arrived(wait time.Duration) {
	s.carried.Add(1)
	for longest := s.longest.Load(); int64(wait) > longest && !s.longest.CompareAndSwap(longest, int64(wait)); {
		longest = s.longest.Load()
	}
}
