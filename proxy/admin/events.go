package admin

import (
	"slices"
	"strings"
	"time"
)

// EventKind is what happened.
type EventKind string

// The values of Event.Kind.
const (
	EventDown         EventKind = "down"          // the checks took a server out
	EventUp           EventKind = "up"            // a server that was down is back
	EventEmpty        EventKind = "empty"         // a server that drains has lost its last client
	EventReload       EventKind = "reload"        // a configuration was loaded
	EventReloadFailed EventKind = "reload_failed" // a configuration was rejected
	EventUpgrade      EventKind = "upgrade"       // a new process took over
)

// Event is a moment that explains a bend in a plot.
type Event struct {
	Time    time.Time `json:"time"`
	Kind    EventKind `json:"kind"`
	Backend string    `json:"backend,omitempty"` // of the server
	Server  string    `json:"server,omitempty"`  // absent: the event is one of the process
	Text    string    `json:"text"`              // why, in words; "" = no reason known
}

// mostEvents is how many events there are at most, as all servers of a large backend may
// go down and return again and again.
const mostEvents = 200

// events are the latest events in order of time.
type events struct{ list []Event }

// find adds what happened until now. before is the sample before; it is empty at the first
// one.
func (e *events) find(now, before *Snapshot) {
	if reload := &now.Process.Reload; !before.Time.IsZero() && !reload.Time.Equal(before.Process.Reload.Time) {
		kind := EventReload
		if !reload.Success {
			kind = EventReloadFailed
		}
		e.add(Event{Time: reload.Time, Kind: kind, Text: reload.Error})
	}
	for i := range now.Backends {
		b := &now.Backends[i]
		for j := range b.Servers {
			e.findOutages(b.Name, &b.Servers[j])
			if s := &b.Servers[j]; !s.Emptied.IsZero() {
				e.add(Event{Time: s.Emptied, Kind: EventEmpty, Backend: b.Name, Server: s.Name})
			}
		}
	}
}

// findOutages adds the last outage of a server, and its end. An event that is there already
// is not added twice.
func (e *events) findOutages(backend string, s *Server) {
	if s.LastDown.IsZero() {
		return
	}
	down := Event{Time: s.LastDown, Kind: EventDown, Backend: backend, Server: s.Name}
	if s.State == ServerDown {
		down.Text = s.Reason
	}
	e.add(down)
	if s.State == ServerUp && s.Since.After(s.LastDown) {
		e.add(Event{Time: s.Since, Kind: EventUp, Backend: backend, Server: s.Name, Text: s.Reason})
	}
}

// add inserts an event at its time, if it is not there.
func (e *events) add(one Event) {
	i := len(e.list)
	for i > 0 && e.list[i-1].Time.After(one.Time) {
		i--
	}
	for j := i - 1; j >= 0 && e.list[j].Time.Equal(one.Time); j-- {
		if known := &e.list[j]; known.Kind == one.Kind && known.Backend == one.Backend && known.Server == one.Server {
			return
		}
	}
	e.list = slices.Insert(e.list, i, one)
	if more := len(e.list) - mostEvents; more > 0 {
		e.list = slices.Delete(e.list, 0, more)
	}
}

// forget removes the events before a time.
func (e *events) forget(first time.Time) {
	e.list = slices.DeleteFunc(e.list, func(one Event) bool { return one.Time.Before(first) })
}

// words describes an event: "nodes/node1 went down: L4CON connection refused".
func (e *Event) words() string {
	what := map[EventKind]string{
		EventDown: "went down", EventUp: "is up again", EventEmpty: "is drained and empty", EventReload: "configuration loaded",
		EventReloadFailed: "configuration rejected", EventUpgrade: "a new process took over",
	}[e.Kind]
	if e.Server != "" {
		what = e.Backend + "/" + e.Server + " " + what
	}
	return strings.TrimSuffix(what+": "+e.Text, ": ")
}
