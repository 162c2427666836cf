package backend

// weightScale is how many units of effective weight one of weight makes, so
// that slow start can begin at a hundredth of any weight.
const weightScale = 100

// returned reports whether the change from old to new brings a server back
// into service that was out of it: down, or in maintenance. A server that was
// merely not checked yet has not been away.
func returned(old, new State) bool {
	away := func(s State) bool { return s.Health == Down || s.Admin == Maint }
	return away(old) && !away(new)
}

// startRamp begins slow start for s, with the pool's next clock reading.
func (p *Pool) startRamp(s *Server) {
	if s.slot == removed {
		return
	}
	sl := &p.slots[s.slot]
	if p.slowStart == 0 || sl.tier == unusable || sl.ramp != 0 {
		return
	}
	sl.ramp = rampPending
	p.ramping++
	p.setEffective(sl)
}

// rampPending stands for a slow start that begins with the next request: a
// commit knows nothing of the requests' clock.
const rampPending = -1

func (p *Pool) stopRamp(i int) {
	if p.slots[i].ramp != 0 {
		p.slots[i].ramp = 0
		p.ramping--
	}
}

// rampUp brings every slow start under way to p.clock.
func (p *Pool) rampUp() {
	for i := range p.slots {
		sl := &p.slots[i]
		switch {
		case sl.ramp == 0:
			continue
		case sl.ramp == rampPending:
			sl.ramp = max(p.clock, 1)
		case p.clock-sl.ramp >= p.slowStart:
			p.stopRamp(i)
		}
		p.setEffective(sl)
	}
}

// setEffective sets the effective weight: a linear rise over slow start from a
// hundredth of the weight to all of it.
func (p *Pool) setEffective(sl *slot) {
	full := sl.weight * weightScale
	switch {
	case sl.ramp == 0 || p.slowStart == 0:
		sl.effective = full
	case sl.ramp == rampPending:
		sl.effective = sl.weight
	default:
		part := float64(p.clock-sl.ramp) / float64(p.slowStart)
		sl.effective = max(sl.weight, int32(float64(full)*min(part, 1)))
	}
}
