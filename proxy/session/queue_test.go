package session

import (
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/metrics"
)

// occupied returns a fixture whose only slot a stream holds, and another stream in
// the queue for it.
func occupied(t *testing.T) (f *fixture, holder, queued *stream) {
	t.Helper()
	f = start(t, setup{servers: []behavior{accepts}, maxConn: 1})
	holder = f.established()
	queued = f.begin()
	queued.checkState(Queued, accesslog.PhaseQueue)
	return f, holder, queued
}

// waits are those that ended with a slot for the stream.
func waits(s *stream) (total metrics.TimingTotal) {
	total.Add(&s.counters.Queue)
	return total
}

// TestQueue checks that the next client in the queue gets a freed slot, and that
// its wait is measured. If it fails, clients wait for servers that are free.
func TestQueue(t *testing.T) {
	t.Parallel()
	f, holder, queued := occupied(t)
	f.Advance(3 * time.Second)
	queued.check("queued")
	f.do(func() { holder.finish(backend.Completed) })
	queued.settle()
	queued.check("queued, granted, dial s1, established")
	total := waits(queued)
	if total.Count != 1 || total.Sum < 3*time.Second || total.Sum > 3100*time.Millisecond {
		t.Errorf("%d waits took %v, want 1 of 3s", total.Count, total.Sum)
	}
	f.checkOutcomes(backend.Completed)
}

// TestQueueTimeout checks that a client waits in the queue for timeout_queue and no
// longer, and that the slot that is freed later is not lost on it.
func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	f, holder, queued := occupied(t)
	queued.settle()
	queued.check("queued, queue_timeout")
	f.do(func() { holder.finish(backend.Completed) })
	f.checkFree()
	f.established()
	if n := waits(queued).Count; n != 0 {
		t.Errorf("%d waits that ended with a slot are counted, want 0", n)
	}
	f.checkOutcomes(backend.Completed)
}

// TestLeavingTheQueue checks that a client that leaves the queue gives its slot back
// exactly once, also when the slot was granted at the same moment. If it fails, a
// server loses a slot, or takes more clients than maxconn allows.
func TestLeavingTheQueue(t *testing.T) {
	t.Parallel()
	completed, aborted := backend.Completed, backend.Aborted
	tests := []struct {
		name     string
		leave    func(holder, queued *stream)
		outcomes []backend.Outcome // of the slots, once the holder has ended
	}{
		{"Cancel", func(_, queued *stream) {
			if !queued.dispatch.Cancel(queued) {
				queued.Error("Cancel reports that the stream was not in the queue")
			}
		}, []backend.Outcome{completed}},
		{"Cancel twice", func(_, queued *stream) {
			queued.dispatch.Cancel(queued)
			if queued.dispatch.Cancel(queued) {
				queued.Error("Cancel reports that the stream was in the queue a second time")
			}
		}, []backend.Outcome{completed}},
		{"End", func(_, queued *stream) { queued.dispatch.End(queued) }, []backend.Outcome{completed}},
		{"End before the grant arrives", func(holder, queued *stream) {
			holder.finish(completed) // the grant is posted, and runs after this
			queued.dispatch.End(queued)
		}, []backend.Outcome{completed, aborted}},
		{"Cancel too late, then End", func(holder, queued *stream) {
			holder.finish(completed)
			if queued.dispatch.Cancel(queued) {
				queued.Error("Cancel reports that a stream was in the queue whose grant is on its way")
			}
			queued.dispatch.End(queued)
		}, []backend.Outcome{completed, aborted}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, holder, queued := occupied(t)
			f.do(func() {
				test.leave(holder, queued)
				queued.loop.Disarm(&queued.timer)
			})
			f.Turns(2)
			queued.check("queued")
			queued.checkState(Idle, accesslog.PhaseQueue)
			f.do(func() { holder.finish(completed) })
			f.checkFree()
			f.checkOutcomes(test.outcomes...)
			f.established() // the slot is there for the next client
		})
	}
}

// TestGrantAtTheTimeout checks that a client whose slot is granted in the moment in
// which its time in the queue ends is served, not refused: the slot is its own.
func TestGrantAtTheTimeout(t *testing.T) {
	t.Parallel()
	f, holder, queued := occupied(t)
	f.do(func() {
		holder.finish(backend.Completed)
		queued.dispatch.Expired(queued)
		if state := queued.dispatch.State(); state != Queued {
			t.Errorf("the stream is %q, want it queued until its grant arrives", state)
		}
	})
	queued.settle()
	queued.check("queued, granted, dial s1, established")
}

// TestGrantToStoppedLoop checks that a slot granted to a loop that has stopped is
// free again: while the balancer stops, slots still go to those who wait.
func TestGrantToStoppedLoop(t *testing.T) {
	t.Parallel()
	f := start(t, setup{servers: []behavior{accepts}, maxConn: 1})
	holder := f.established()
	stopping := startLoop(t, conf.RateLimit{})
	stopping.pool = f.pool
	stopping.begin().check("queued")
	stopping.Stop()
	f.do(func() { holder.finish(backend.Completed) })
	f.checkFree()
	f.checkOutcomes(backend.Completed, backend.Aborted)
}

// TestQueueDuringHandOver has clients that ask for a slot while a new process takes over:
// they wait for the new process, whose servers are free, so timeout_queue does not hold
// for them until they are there. If it fails, an upgrade of a busy machine resets them.
func TestQueueDuringHandOver(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		stay bool // the client cannot move: it waits for a server, which is full
		end  func(*fixture, *stream)
		want string
	}{
		{"granted late", false, func(f *fixture, s *stream) {
			f.Advance(queueTimeout + withheldTime - time.Second)
			f.do(f.pool.Resume)
			s.settle()
		}, "queued, queued, granted, dial s1, established"},
		{"never granted", false, func(f *fixture, s *stream) {
			f.Advance(queueTimeout + time.Second)
			s.check("queued, queued")
			f.Advance(withheldTime)
		}, "queued, queued, queue_timeout"},
		{"cannot move", true, func(f *fixture, s *stream) { s.settle() }, "queued, queue_timeout"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := start(t, setup{servers: []behavior{accepts}, maxConn: 1})
			f.do(func() { f.pool.Suspend(0) })
			s := f.stream()
			s.stays = test.stay
			f.do(func() { s.dispatch.Begin(s) })
			test.end(f, s)
			s.check(test.want)
		})
	}
}
