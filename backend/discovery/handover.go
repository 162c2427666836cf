package discovery

import (
	"net/netip"
	"slices"
	"time"
)

// Handover is what is known of one name, for the new process of an upgrade. Its times
// are on a monotonic clock that both processes share; 0 = zero.
type Handover struct {
	Use
	Address   netip.Addr
	Addresses []netip.Addr
	Since     int64
	Good      int64
	Held      int64
	Failed    int64
	Error     string
	Kind      Kind
	Lookups   uint64
	Failures  uint64
}

// clock converts between the times of this process and those of a hand-over.
type clock struct {
	wall time.Time
	mono int64
}

func (c clock) to(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return c.mono + int64(t.Sub(c.wall))
}

func (c clock) from(mono int64) time.Time {
	if mono == 0 {
		return time.Time{}
	}
	return c.wall.Add(time.Duration(mono - c.mono))
}

// Handover returns what is known. now is the time on the clock that both processes
// share.
func (n *Names) Handover(now int64) (all []Handover) {
	c := clock{time.Now(), now}
	for _, k := range n.List() {
		if !k.Address.IsValid() {
			continue
		}
		all = append(all, Handover{
			Use: k.Use, Address: k.Address, Addresses: k.Addresses, Since: c.to(k.Since), Good: c.to(k.Good), Held: c.to(k.Held),
			Failed: c.to(k.Failed), Error: k.Error, Kind: k.Kind, Lookups: k.Lookups, Failures: k.Failures,
		})
	}
	return all
}

// Restore takes over what the old process knew of the names that are wanted here. A
// server keeps the address that it had there, unless this process has an answer
// without it. The caller looks at the addresses then: changed is not called.
func (n *Names) Restore(all []Handover, now int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refreshing++
	c := clock{time.Now(), now}
	for i := range all {
		h := &all[i]
		known := n.names[nameKey{h.Host, h.Family}]
		if known == nil || known.uses[h.Server] == nil {
			continue
		}
		if len(known.answer.Addresses) == 0 {
			n.restore(known, h, c)
		}
		if h.Address.IsValid() && slices.Contains(known.answer.Addresses, h.Address) {
			*known.uses[h.Server] = use{h.Address, c.from(h.Since)}
		}
	}
	n.settle(c.wall)
	n.refreshing--
}

// restore takes over the answer that the old process had. If look-ups fail here, too,
// it is held for as long as it would have been there.
func (n *Names) restore(known *name, h *Handover, c clock) {
	known.answer.Addresses = slices.Clone(h.Addresses)
	known.good, known.held = c.from(h.Good), c.from(h.Held)
	if known.failure != "" && h.Held == 0 && n.settings.Hold > 0 {
		known.held = c.wall.Add(n.settings.Hold)
	}
}
