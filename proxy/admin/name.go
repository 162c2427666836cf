package admin

import "time"

// Name is a host name that a server's addresses have: which address it stands for,
// and how the look-ups go.
type Name struct {
	Name      string    `json:"name"`
	Family    string    `json:"family"`              // any, ipv4 or ipv6
	Address   string    `json:"address"`             // that the server has; "" = none: the server is down
	Since     time.Time `json:"since,omitzero"`      // when the server got the address, or lost it
	Addresses int       `json:"addresses"`           // how many the last good answer had
	Answered  time.Time `json:"answered,omitzero"`   // the last good answer; absent = there was none
	Next      time.Time `json:"next,omitzero"`       // the next look-up
	HeldUntil time.Time `json:"held_until,omitzero"` // until when the address is kept although look-ups fail; absent = they do not, or without limit
	Error     string    `json:"error"`               // of the last look-up; "" = it was good
	ErrorTime time.Time `json:"error_time,omitzero"` // of the last look-up that failed; absent = none did
	Lookups   uint64    `json:"lookups"`             // counter
	Failures  uint64    `json:"failures"`            // counter: look-ups that failed

	AgeSeconds float64 `json:"age_seconds"` // derived: since the last good answer; 0 = there was none
}

// derive computes the age at the time of the snapshot.
func (n *Name) derive(now time.Time) {
	n.AgeSeconds = 0
	if !n.Answered.IsZero() {
		n.AgeSeconds = max(now.Sub(n.Answered).Seconds(), 0)
	}
}

// byName labels the metrics of names.
var byName = []string{"backend", "server", "name"}

var nameMetrics = []metric[Name]{
	gauge("server_name_resolved", "1 if the server has an address by this host name.", byName,
		func(n *Name) float64 { return number(n.Address != "") }),
	gauge("server_name_failing", "1 if the last look-up of the host name failed or found nothing.", byName,
		func(n *Name) float64 { return number(n.Error != "") }),
	gauge("server_name_addresses", "Addresses in the last good answer for the host name.", byName,
		func(n *Name) float64 { return float64(n.Addresses) }),
	gauge("server_name_age_seconds", "Time since the last good answer for the host name; 0 = there was none.", byName,
		func(n *Name) float64 { return n.AgeSeconds }),
	counter("server_name_lookups_total", "Look-ups of the host name.", byName,
		func(n *Name) uint64 { return n.Lookups }),
	counter("server_name_failures_total", "Look-ups of the host name that failed or found nothing.", byName,
		func(n *Name) uint64 { return n.Failures }),
}
