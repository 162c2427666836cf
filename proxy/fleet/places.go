package fleet

import (
	"net/netip"
	"strings"
	"time"
)

// A displaced source is an entry of the register of places: its key is "BACKEND SOURCE",
// its payload the server's name.

// Places is the memory of sources that policy source displaced, of all backends. Its
// methods are called by one goroutine at a time.
type Places interface {
	// Collect returns the places that have become known here since the last call, and how
	// many more there were that were not kept. They may be known already.
	Collect() (places []Place, lost int)
	// Adopt remembers a place that another balancer has given a source. It does nothing if
	// there is no such backend or server, or if the source has connections here.
	Adopt(p Place)
	// Holds reports whether the source belongs there, here.
	Holds(p Place) bool
}

// Place is where a displaced source belongs.
type Place struct {
	Backend string
	Source  netip.Prefix  // an IPv4 /32 or an IPv6 /64
	Server  string        // by name
	Lives   time.Duration // how long that is remembered from now on; 0 = no limit. Adopt and Holds do not need it
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

// placesKnown are the entries of the places that are in force, here or elsewhere: each
// balancer keeps those alive that it holds. Only the goroutine that exchanges uses it.
type placesKnown map[string]entry

// add notes an entry, unless there are too many.
func (k placesKnown) add(e entry) {
	if _, known := k[e.key]; known || len(k) < registerKept {
		k[e.key] = e
	}
}

// collectPlaces notes the places that have become known.
func (f *Fleet) collectPlaces() {
	places, lost := f.o.Places.Collect()
	f.places.dropped.Add(uint64(lost))
	for _, p := range places {
		e := placeEntry(p, f.stamp())
		f.known.add(e)
		f.places.note(e)
	}
}

// adoptPlace carries out an entry of the register of places.
func (f *Fleet) adoptPlace(key, payload string, lives time.Duration) bool {
	p, ok := parsePlace(key, payload, lives)
	if ok {
		f.o.Places.Adopt(p)
		e := entry{key, payload, 0, lives}
		if before, known := f.known[key]; known {
			e.lives = max(lives, before.lives)
		}
		f.known.add(e)
	}
	return ok
}

// holdsPlace reports whether the place of an entry is in force here.
func (f *Fleet) holdsPlace(e entry) bool {
	p, ok := parsePlace(e.key, e.payload, e.lives)
	if ok && f.o.Places.Holds(p) {
		return true
	}
	delete(f.known, e.key)
	return false
}

// placesInForce returns the entries of the places that may be in force here.
func (f *Fleet) placesInForce() (entries []entry) {
	for _, e := range f.known {
		entries = append(entries, e)
	}
	return entries
}
