package healthcheck

import (
	"time"

	"mcplb/backend"
)

// Status is the state of one server's checks. It is a copy.
type Status struct {
	Health      backend.Health // verdict of the checks
	Since       time.Time      // time of the verdict, or of the start of checking
	Suspect     bool           // a check is overdue
	Maintenance bool           // the server is not checked
	Progress    string         // of a pending change of state, such as "1/2 down"; "" = none
	Last        Result         // result of the latest counted check
	Checks      uint64         // counted checks
	Failures    uint64         // failed ones of these
	Observed    uint64         // failures of client connections (passive observation)
}

// publish makes the present facts visible to snapshot.
func (w *watch) publish() {
	status := w.facts
	status.Maintenance = w.idle
	status.Progress = w.count.progress()
	w.status.Store(&status)
}

// snapshot returns the present status. Any goroutine may call it.
func (w *watch) snapshot() Status {
	status := *w.status.Load()
	status.Observed = w.met.total()
	return status
}

// verdict returns the name of a health in log lines.
func verdict(health backend.Health) string {
	switch health {
	case backend.Up:
		return "UP"
	case backend.Down:
		return "DOWN"
	}
	return "UNCHECKED"
}
