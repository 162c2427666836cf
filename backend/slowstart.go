package backend

// weightScale is how many units of effective weight one unit of weight makes,
// so that slow start can begin at a hundredth of any weight.
const weightScale = 100

// slowStart owns the effective weights of the members. After a server was away
// its weight rises linearly, over a duration, from a hundredth to all of it:
//
//	member.ramp    slow start                        effective weight
//	0              none                              weight
//	rampPending    begins with the next request      a hundredth of weight
//	a time         began then                        in proportion to the time since
type slowStart struct {
	members  *members
	duration int64 // nanoseconds; 0 = off
	now      int64 // the latest monotonic time that a caller passed
	underWay int   // members whose slow start is under way
}

// rampPending stands for a slow start that begins with the next request: a
// commit does not know the requests' clock.
const rampPending = -1

// returned reports whether the change from old to new brings a server back
// into service that was out of it: down, or in maintenance. A server that was
// merely not checked yet has not been away.
func returned(old, new State) bool {
	away := func(s State) bool { return s.Health == Down || s.Admin == Maint }
	return away(old) && !away(new)
}

// start begins the slow start of m with the next request.
func (w *slowStart) start(m *member) {
	if w.duration == 0 || m.tier == unusable || m.ramp != 0 {
		return
	}
	m.ramp = rampPending
	w.underWay++
	w.update(m)
}

// restore resumes a slow start that began at a time, 0 = none.
func (w *slowStart) restore(m *member, began int64) {
	began = min(began, w.now)
	if began == 0 || w.now-began >= w.duration || m.tier == unusable {
		return
	}
	if m.ramp == 0 {
		w.underWay++
	}
	m.ramp = max(began, 1)
	w.update(m)
}

// stop ends the slow start of m, if there is one. The caller updates the weight.
func (w *slowStart) stop(m *member) {
	if m.ramp != 0 {
		m.ramp = 0
		w.underWay--
	}
}

// advance brings every slow start that is under way to now.
func (w *slowStart) advance(now int64) {
	w.now = max(w.now, now)
	if w.underWay > 0 {
		w.rise()
	}
}

func (w *slowStart) rise() {
	for i := range w.members.all {
		m := &w.members.all[i]
		switch {
		case m.ramp == 0:
			continue
		case m.ramp == rampPending:
			m.ramp = max(w.now, 1)
		case w.now-m.ramp >= w.duration:
			w.stop(m)
		}
		w.update(m)
	}
}

// update sets the effective weight of m to what holds now.
func (w *slowStart) update(m *member) {
	full := m.weight * weightScale
	switch {
	case m.ramp == 0 || w.duration == 0:
		m.effective = full
	case m.ramp == rampPending:
		m.effective = m.weight
	default:
		part := float64(w.now-m.ramp) / float64(w.duration)
		m.effective = max(m.weight, int32(float64(full)*min(part, 1)))
	}
}
