package l4

import (
	"math"

	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// forever is the end of a pause that only Proceed ends.
const forever = math.MaxInt64

// Pause stops reading from the client until the given time on the loop's
// clock: it is over its rate, and TCP's flow control slows it down.
func (r *Relay) Pause(until int64) {
	if r.over {
		return
	}
	r.Resume = until
	r.arm()
}

// Proceed ends a pause before its time.
func (r *Relay) Proceed() {
	if r.over {
		return
	}
	r.Resume = 0
	r.client.Yield()
}

// arm sets the timer for what comes first: the end of a pause, or of the idle
// time.
func (r *Relay) arm() {
	loop := r.client.Loop()
	deadline := r.idleEnds()
	if r.Resume != 0 && (deadline == 0 || r.Resume < deadline) {
		deadline = r.Resume
	}
	if deadline != 0 {
		loop.Arm(r.Timer, r, deadline)
	}
}

// idleEnds is when the idle time ends unless something moves; 0 = never. It starts
// at the end of a pause, which is not the client's silence.
func (r *Relay) idleEnds() int64 {
	idle := r.Owner.Idle(r.halfClosed())
	if idle == 0 {
		return 0
	}
	if r.Resume != forever && r.Resume > r.Last {
		return r.Resume + int64(idle)
	}
	return r.Last + int64(idle)
}

// halfClosed reports whether one side has finished sending, or has gone.
func (r *Relay) halfClosed() bool {
	return (r.Up.Flags|r.Down.Flags)&(ended|lost) != 0 || r.client.Failed() || r.server.Failed()
}

// Expired implements reactor.Expirer. The timer may run out early, since activity
// only writes a timestamp.
func (r *Relay) Expired(*reactor.Timer) {
	now := r.client.Loop().Now()
	if r.Resume != 0 && now >= r.Resume {
		r.Resume = 0
		r.Last = now
		r.client.Yield()
	}
	if ends := r.idleEnds(); ends != 0 && now >= ends {
		r.Abort(r.idleReason())
		return
	}
	r.arm()
}

func (r *Relay) idleReason() session.Reason {
	if r.halfClosed() {
		return session.HalfClosedTimeout
	}
	return session.IdleTimeout
}
