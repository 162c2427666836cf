package backend

import (
	"fmt"
	"time"
)

// Health is the verdict of the checks on a server. Its zero value is Unchecked.
type Health uint8

// The values of Health.
const (
	Unchecked Health = iota // no verdict yet; the server is used as if it were up
	Up
	Down
)

// String returns the lower-case word that status, metrics and logs show.
func (h Health) String() string {
	return word([]string{"unchecked", "up", "down"}, int(h))
}

// Admin is the operator's will for a server. Its zero value is Ready.
type Admin uint8

// The values of Admin.
const (
	Ready Admin = iota // takes clients as its health allows
	Drain              // takes bound clients only: nothing new
	Maint              // takes no clients at all
)

// String returns the lower-case word that status, metrics and logs show.
func (a Admin) String() string {
	return word([]string{"ready", "drain", "maint"}, int(a))
}

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return fmt.Sprintf("unknown(%d)", i)
}

// State is a server's state at one moment. It is a value: it does not follow
// later changes. The zero State is that of a server never checked. Health, Admin,
// DrainRequest and Withdrawn are separate inputs; together they decide which
// clients the server takes:
//
//	                           unchecked, up           down
//	ready                      new and bound clients   none
//	ready, asks to be drained  bound clients           none
//	ready, withdrawn           bound clients           none
//	drain                      bound clients           none
//	maint                      none                    none
type State struct {
	Health      Health
	Admin       Admin
	Degraded    bool   // a check is overdue: chosen only where no better server has a free slot
	Reason      string // why Health is what it is, in words for the operator; "" until the first verdict
	AdminReason string // why Admin is what it is, and by whom; "" until first set

	// DrainRequest is what the server's check answered by which it asks to be drained
	// (drain_on); "" = it does not ask. DrainRequestSince is when that last changed;
	// zero = it never asked.
	DrainRequest      string
	DrainRequestSince time.Time

	Emptied    time.Time // since when a server that drains has neither connections nor sessions; zero = it has, or does not drain
	Since      time.Time // when Health last changed; at first when the server was created
	AdminSince time.Time // when Admin last changed; zero = never set
	Outages    Outages

	// Withdrawn is set where the source that has found the server wants no new client to
	// go there (conf.Server.NoNewClients).
	Withdrawn bool
}

// Outages are the times that a server was down. The zero Outages are those of a server
// that never was.
type Outages struct {
	Count uint64        // how often it went down
	Last  time.Time     // when it last did; zero = never
	Ended time.Duration // the sum of those that are over
}

// Downtime returns how long the server has been down in total at the time now.
func (s State) Downtime(now time.Time) time.Duration {
	total := s.Outages.Ended
	if s.Health == Down {
		total += max(now.Sub(s.Since), 0)
	}
	return total
}

// TakesNew reports whether a server in this state takes new clients, if its
// weight is above zero.
func (s State) TakesNew() bool { return s.Health != Down && !s.drained() }

// drained reports whether the operator's will, the server's own request, or what has
// found the server keeps new clients away.
func (s State) drained() bool { return s.Admin != Ready || s.DrainRequest != "" || s.Withdrawn }

// Draining reports whether the server gets no new clients, by the operator's will or its own
// request, while those there may stay.
func (s State) Draining() bool { return s.Admin != Maint && s.drained() }

// TakesBound reports whether a server in this state takes clients that are
// bound to it by a session or a cookie, whatever its weight.
func (s State) TakesBound() bool { return s.Health != Down && s.Admin != Maint }
