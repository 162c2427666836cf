package healthcheck

import (
	"time"

	"mcplb/backend"
)

// Status is what is known of one server, for people to read. It is a copy.
type Status struct {
	Health      backend.Health // the verdict of the checks; what the pool does with it is the pool's
	Since       time.Time      // when the verdict was reached, or checking began
	Suspect     bool           // a check is overdue
	Maintenance bool           // not checked
	Progress    string         // of a change of state under way, such as "1/2 down"; "" = none
	Last        Result         // of the latest check that was counted
	Checks      uint64         // checks counted
	Failures    uint64         // of these, failed
	Observed    uint64         // failures that clients' connections met (passive observation)
}

// publish makes what run knows known to all.
func (w *watch) publish() {
	status := w.facts
	status.Maintenance = w.idle
	status.Progress = w.count.progress()
	w.status.Store(&status)
}

// snapshot is the present status. Any goroutine may call it.
func (w *watch) snapshot() Status {
	status := *w.status.Load()
	status.Observed = w.met.total()
	return status
}

// verdict is a health as log lines write it.
func verdict(health backend.Health) string {
	switch health {
	case backend.Up:
		return "UP"
	case backend.Down:
		return "DOWN"
	}
	return "UNCHECKED"
}
