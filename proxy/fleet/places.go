package fleet

import (
	"net/netip"
	"strings"
	"time"
)

// A displaced source is an entry of the register of places: its key is "BACKEND SOURCE",
// its payload the server's name.

// Places is the memory of sources that policy source displaced, of all backends. Any
// goroutine may call its methods, which do not wait long.
type Places interface {
	// Adopt remembers a place that another balancer has given a source, for so long. It
	// does nothing if there is no such backend or server.
	Adopt(p Place)
	// Displaced returns the places in force, at most most of them.
	Displaced(most int) []Place
}

// Place is where a displaced source belongs.
type Place struct {
	Backend string
	Source  netip.Prefix // an IPv4 /32 or an IPv6 /64
	Server  string
	Lives   time.Duration // how long that is remembered; 0 = no limit
}

// placeEntry returns the entry of a place.
func placeEntry(p Place, stamp int64) entry {
	lives := p.Lives
	if lives <= 0 {
		lives = endlessLives
	}
	return entry{p.Backend + " " + p.Source.String(), p.Server, stamp, lives}
}

// parsePlace reads the entry of a place.
func parsePlace(key, payload string, lives time.Duration) (p Place, ok bool) {
	backend, source, _ := strings.Cut(key, " ")
	prefix, err := netip.ParsePrefix(source)
	ok = err == nil && prefix == prefix.Masked() && backend != "" && payload != "" && !strings.Contains(payload, " ")
	return Place{backend, prefix, payload, lives}, ok
}

// Displaced makes the place of a source known to the fleet. It does not wait, and may be
// called on a loop.
func (f *Fleet) Displaced(p Place) {
	if f.sharing.sticky.Load() {
		f.places.note(placeEntry(p, f.stamp()))
	}
}

// adoptPlace carries out an entry of the register of places.
func (f *Fleet) adoptPlace(key, payload string, lives time.Duration) bool {
	p, ok := parsePlace(key, payload, lives)
	if ok {
		f.o.Places.Adopt(p)
	}
	return ok
}

// placesInForce returns the entries of the places in force here.
func (f *Fleet) placesInForce() (entries []entry) {
	if !f.sharing.sticky.Load() {
		return nil
	}
	for _, p := range f.o.Places.Displaced(registerKept) {
		entries = append(entries, placeEntry(p, 0))
	}
	return entries
}
