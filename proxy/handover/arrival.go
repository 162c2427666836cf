package handover

import (
	"mcplb/conf"
	"mcplb/proxy/reactor"
)

// Arrival is a batch that has arrived and is not served yet. Exactly one of Serve
// and Drop must be called.
type Arrival struct {
	Refused []int // connections that stay in the old process, by their numbers in the batch

	to   *New
	list []*arriving
}

// Serve begins to serve the sessions, spread over the loops.
func (a *Arrival) Serve() {
	loops := a.to.Balancer.Engine().Loops()
	shares := make([][]*arriving, len(loops))
	for _, one := range a.list {
		least := leastLoaded(loops)
		loops[least].AddLoad(1)
		shares[least] = append(shares[least], one)
	}
	a.to.held.clients = max(a.to.held.clients-len(a.list), 0)
	a.to.Balancer.SetOldClients(a.to.held.clients)
	for i, share := range shares {
		loop := loops[i]
		if len(share) > 0 && !loop.Post(func() { a.to.serveShare(loop, share) }) {
			loop.AddLoad(-len(share))
			for _, one := range share {
				one.detached.Close()
			}
		}
	}
	a.disconnect()
}

// leastLoaded is the place of the loop with the fewest sessions.
func leastLoaded(loops []*reactor.Loop) (least int) {
	for i, loop := range loops {
		if loop.Load() < loops[least].Load() {
			least = i
		}
	}
	return least
}

// disconnect ends the sessions whose server this process's configuration has
// removed, if a reload would.
func (a *Arrival) disconnect() {
	for _, one := range a.list {
		_ = one.held(func(h *Holding, c *claimed) error { // of an error there is none
			if c.server == nil || !c.server.Removed() || a.to.held.servers[h.Slot.Server-1].Removed {
				return nil
			}
			if policy := c.pool.InForce().OnRemoved; policy == conf.OnDownClose {
				a.to.Balancer.Disconnect(c.server, policy)
			}
			return nil
		})
	}
}

// Drop gives the sessions up: they stay in the old process, and so does what they
// hold.
func (a *Arrival) Drop() {
	for _, one := range a.list {
		one.detached.Close()
		a.to.held.unclaim(one)
	}
}
