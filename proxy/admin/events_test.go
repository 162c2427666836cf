package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// An operator who looks at a bend in a plot must learn what happened then: outages, their
// ends and reloads are found, each once, also if a server went down and returned between
// two samples.
func TestEvents(t *testing.T) {
	t.Parallel()
	now := exampleTime
	state := example()
	state.Time, state.Process.Reload.Time = now, now.Add(-time.Hour)
	history := NewHistory(&fixed{build: func() Snapshot { return state }})
	step := func(change func(*Server)) {
		now = now.Add(historyInterval)
		state = example()
		state.Time = now
		change(&state.Backends[0].Servers[0])
		history.sample()
	}
	state.Backends[0].Servers[1].LastDown = time.Time{}
	history.sample()
	at := func(seconds int) time.Time { return exampleTime.Add(time.Duration(seconds) * time.Second) }
	step(func(s *Server) { s.State, s.LastDown, s.Since, s.Reason = ServerDown, at(2), at(2), "L4CON refused" })
	step(func(s *Server) { s.State, s.LastDown, s.Since, s.Reason = ServerDown, at(2), at(2), "L4CON refused" })
	step(func(s *Server) { s.State, s.LastDown, s.Since, s.Reason = ServerUp, at(2), at(8), "L4OK connected" })
	step(func(s *Server) { s.State, s.LastDown, s.Since, s.Reason = ServerUp, at(10), at(11), "L4OK connected" })
	shown := snapshotOf(history.source)
	history.setRates(&shown)
	var words []string
	for _, e := range shown.Events {
		if e.Server != "node2" { // whose last outage was before the first sample
			words = append(words, fmt.Sprintf("%.0f %s", e.Time.Sub(exampleTime).Seconds(), e.words()))
		}
	}
	want := "-60 configuration loaded|2 nodes/node1 went down: L4CON refused|8 nodes/node1 is up again: L4OK connected|10 nodes/node1 went down|11 nodes/node1 is up again: L4OK connected"
	if got := strings.Join(words, "|"); got != strings.TrimPrefix(want, "-60 configuration loaded|") {
		t.Errorf("events %s", got)
	}
}

// A reload is an event, and a rejected one another; the start is none.
func TestReloadEvents(t *testing.T) {
	t.Parallel()
	state := example()
	history := NewHistory(&fixed{build: func() Snapshot { return state }})
	for i, failure := range []string{"", "", "lb.toml:3: x", ""} {
		if i > 0 {
			state.Time = state.Time.Add(historyInterval)
			state.Process.Reload = Reload{Time: state.Time, Success: failure == "", Error: failure}
		}
		history.sample()
	}
	state.Time = state.Time.Add(historyInterval)
	history.sample() // without a reload
	var kinds []string
	for _, e := range history.events.list {
		if e.Server == "" {
			kinds = append(kinds, string(e.Kind)+e.Text)
		}
	}
	if got := strings.Join(kinds, " "); got != "reload reload_failedlb.toml:3: x reload" {
		t.Errorf("events %s", got)
	}
	next := NewHistory(history.source)
	next.Restore(history.Handover())
	next.sample()
	if n := len(next.events.list); n == 0 || next.events.list[n-1].Kind != EventUpgrade && next.events.list[n-2].Kind != EventUpgrade {
		t.Errorf("after an upgrade: %+v", next.events.list)
	}
}

// However often servers go down, the list is bounded, and the latest stay.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	var e events
	for i := range 3 * mostEvents {
		e.add(Event{Time: exampleTime.Add(time.Duration(i) * time.Second), Kind: EventDown})
		e.add(Event{Time: exampleTime.Add(time.Duration(i) * time.Second), Kind: EventDown})
	}
	if len(e.list) != mostEvents || !e.list[mostEvents-1].Time.Equal(exampleTime.Add((3*mostEvents-1)*time.Second)) {
		t.Errorf("%d events, the last is %+v", len(e.list), e.list[len(e.list)-1])
	}
	e.forget(exampleTime.Add((3*mostEvents - 10) * time.Second))
	if len(e.list) != 10 {
		t.Errorf("%d events are left", len(e.list))
	}
}
