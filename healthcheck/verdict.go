package healthcheck

import (
	"time"

	"mcplb/backend"
)

// settle counts the available results in the order in which their probes started.
func (w *watch) settle(now time.Time) {
	for len(w.flights) > 0 && w.flights[0].done {
		result := w.flights[0].result
		w.flights = w.flights[1:]
		w.tally(now, result)
		w.judge(now, result)
	}
}

// tally counts one result.
func (w *watch) tally(now time.Time, result Result) {
	w.facts.Checks++
	switch result.finding() {
	case passed, drains:
		w.count.pass()
		defer w.setDrainRequest(now, result)
	case failed:
		w.facts.Failures++
		w.count.fail()
	case nothing:
		w.logInconclusive(result)
	}
	w.facts.Last = result
}

// judge reports the verdict if it has changed.
func (w *watch) judge(now time.Time, result Result) {
	health := w.count.health()
	if health == w.facts.Health {
		return
	}
	w.facts.Health, w.facts.Since = health, now
	w.publish() // first: who sees that the server is down finds the check that says why
	w.subject.setHealth(health, result.String(), now)
	w.setSuspect(now, false, "the server is "+verdict(health))
	w.publish()
	w.logVerdict(result)
}

// doubt makes the server suspect if a probe is overdue.
func (w *watch) doubt(now time.Time) {
	f := w.unanswered()
	if f == nil || now.Sub(f.start) < w.current.FastInterval {
		return
	}
	w.setSuspect(now, true, "check overdue, no answer within "+w.current.FastInterval.String())
}

// unanswered returns the oldest probe that still waits, unless a later one has
// passed; nil if there is none or the server is down.
func (w *watch) unanswered() *flight {
	if w.count.health() == backend.Down {
		return nil
	}
	for _, f := range w.flights {
		if !f.done && f.start.After(w.answered) {
			return f
		}
	}
	return nil
}

// setDrainRequest reports whether a server that answered asks to be drained.
func (w *watch) setDrainRequest(now time.Time, result Result) {
	asks := result.finding() == drains
	if !asks && !w.drains {
		return
	}
	began := asks != w.drains
	w.drains = asks
	w.publish()
	if asks {
		w.subject.setDrainRequest(result.Text(), now)
	} else {
		w.subject.setDrainRequest("", now)
	}
	if began && !w.idle {
		w.logDrainRequest(result)
	}
}

func (w *watch) setSuspect(now time.Time, suspect bool, reason string) {
	if suspect == w.facts.Suspect {
		return
	}
	w.facts.Suspect = suspect
	w.subject.setSuspect(suspect, reason)
	if suspect {
		w.logSuspect(now, reason)
		return
	}
	w.trusted = now
}
