package discovery

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Known is what is known of a name that a server uses.
type Known struct {
	Use
	Address   netip.Addr   // that the server has; invalid = none
	Since     time.Time    // when it got it
	Addresses []netip.Addr // of the last good answer
	Good      time.Time    // of the last good answer; zero = there was none
	Next      time.Time    // when it is looked up again
	Held      time.Time    // until when the address is kept although look-ups fail; zero = they do not, or without limit
	Error     string       // of the last look-up; "" = it was good
	Kind      Kind         // of Error
	Failed    time.Time    // of the last failure; zero = there was none
	Lookups   uint64
	Failures  uint64
}

func (k Known) compare(other Known) int {
	return cmp.Or(cmp.Compare(k.Server, other.Server), cmp.Compare(k.Host, other.Host), cmp.Compare(k.Family, other.Family))
}

// show returns what is known of the name for one of its servers.
func (n *name) show(server string) Known {
	u := n.uses[server]
	k := Known{
		Use: Use{server, n.host, n.family}, Address: u.address, Since: u.since,
		Addresses: slices.Clone(n.answer.Addresses), Good: n.good, Next: n.next, Held: n.held,
		Error: n.failure, Kind: n.kind, Failed: n.failed, Lookups: n.lookups, Failures: n.fails,
	}
	if !n.asked {
		k.Error, k.Kind = string(NotAsked), NotAsked
	}
	return k
}

// Address returns the address that a server has for a name; invalid = none is known.
func (n *Names) Address(u Use) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.names[nameKey{u.Host, u.Family}]; known != nil && known.uses[u.Server] != nil {
		return known.uses[u.Server].address
	}
	return netip.Addr{}
}

// Reason returns why a name stands for nothing, in an operator's words.
func (n *Names) Reason(u Use) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.names[nameKey{u.Host, u.Family}]; known != nil && known.asked {
		return known.failure
	}
	return string(NotAsked)
}

// Others returns the other addresses of a name, in order, beginning behind the one
// that the server has.
func (n *Names) Others(u Use) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.names[nameKey{u.Host, u.Family}]
	if known == nil || known.uses[u.Server] == nil {
		return nil
	}
	all := known.answer.Addresses
	i := slices.Index(all, known.uses[u.Server].address)
	if i < 0 {
		return nil
	}
	return slices.Concat(all[i+1:], all[:i])
}

// Move gives a server another address of a name, which must still be one.
func (n *Names) Move(u Use, to netip.Addr) (moved bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.names[nameKey{u.Host, u.Family}]
	if known == nil || known.uses[u.Server] == nil || !slices.Contains(known.answer.Addresses, to) {
		return false
	}
	*known.uses[u.Server] = use{to, time.Now()}
	n.signal(n.report)
	return true
}

// List returns what is known, by server, name and family.
func (n *Names) List() (all []Known) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, known := range n.names {
		for _, server := range slices.Sorted(maps.Keys(known.uses)) {
			all = append(all, known.show(server))
		}
	}
	slices.SortFunc(all, Known.compare)
	return all
}
