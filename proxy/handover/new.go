package handover

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mcplb/proxy/admin"
	"mcplb/proxy/reactor"
)

// New is the balancer in the new process: it restores what the old one knew, and
// serves the connections that arrive from it. A value serves one hand-over. Its
// methods are called one after the other, by one goroutine, Restore first;
// TakenOver may be called by any.
type New struct {
	Balancer NewBalancer
	History  *admin.History // nil = none is restored
	Log      *slog.Logger

	decoder   decoder
	frontends map[string]Frontend
	held      reservations
	queued    queued
	pauses    pauses
}

// Restore restores an encoded State, before any client is accepted.
func (n *New) Restore(payload []byte) error {
	var state State
	if err := n.decoder.decode(payload, &state); err != nil {
		return err
	}
	n.Balancer.Limiter().Restore(state.Limiter, n.Balancer.Engine().Now())
	n.Balancer.Accounts().Restore(state.Accounts, n.Balancer.Engine().Now())
	if err := n.Balancer.Restore(state.Figures); err != nil {
		return fmt.Errorf("restoring the counters of removed frontends: %w", err)
	}
	n.Balancer.AdoptServers(state.Backends)
	n.Balancer.RestoreNames(state.Names)
	if err := n.held.reconstruct(n.Balancer, &state); err != nil {
		return err
	}
	n.frontends = map[string]Frontend{}
	for i := range state.Frontends {
		f := &state.Frontends[i]
		n.frontends[f.Name] = n.Balancer.Frontend(f)
	}
	return n.hold(&state.Held)
}

// Serve begins to accept clients.
func (n *New) Serve() { n.Balancer.Resume() }

var errNotRestored = errors.New("a report arrived before the state")

// Update restores an encoded report: what the old process still holds. It returns
// the slots that are reserved from now on for those who wait there.
func (n *New) Update(payload []byte) (reserved []SlotCount, err error) {
	if n.frontends == nil {
		return nil, errNotRestored
	}
	var r report
	if err := n.decoder.decode(payload, &r); err != nil {
		return nil, err
	}
	if r.History != nil && n.History != nil {
		n.History.Restore(*r.History)
	}
	if err := n.hold(&r.Held); err != nil {
		return nil, err
	}
	return n.queued.update(&n.held, r.Waiting), nil
}

// Alone notes that the old process has ended and holds nothing any more.
func (n *New) Alone() {
	n.queued.end(&n.held)
	_ = n.hold(&Holdings{}) // of nothing, it cannot fail
	n.frontends, n.held = nil, reservations{}
	n.Balancer.Alone()
}

// hold adjusts what is reserved for the old process to what that says it holds.
func (n *New) hold(h *Holdings) error {
	if err := h.check(); err != nil {
		return err
	}
	n.held.adjust(h)
	n.Balancer.Accounts().SetElsewhere(h.Accounts, n.Balancer.Engine().Now())
	addGrowth(n.Balancer, h.Counts)
	n.held.clients = h.Clients
	n.Balancer.SetOldClients(h.Clients)
	return nil
}

var errDraining = errors.New("this process is about to end")

// Adopt receives a batch, without touching its connections yet. Arrival.Serve
// begins to serve them, Arrival.Drop gives them up. The descriptors are the
// Arrival's, unless Adopt returns an error.
func (n *New) Adopt(payload []byte, descriptors []int) (*Arrival, error) {
	if n.Balancer.Draining() {
		return nil, errDraining
	}
	var records []Record
	if err := n.decoder.decode(payload, &records); err != nil {
		return nil, err
	}
	wanted := 0
	for i := range records {
		wanted += records[i].descriptors()
	}
	if wanted != len(descriptors) {
		return nil, fmt.Errorf("%d descriptors arrived for connections that have %d", len(descriptors), wanted)
	}
	a := &Arrival{to: n}
	for i := range records {
		r := &records[i]
		fds := descriptors[:r.descriptors()]
		descriptors = descriptors[len(fds):]
		arrived, err := n.receive(r, fds)
		if err != nil {
			n.Log.Debug("a connection stays in the old process", "frontend", r.Frontend, "err", err)
			closeAll(fds)
			r.wipe()
			a.Refused = append(a.Refused, i)
			continue
		}
		a.list = append(a.list, arrived)
	}
	return a, nil
}

// receive finds what a session needs in this process.
func (n *New) receive(r *Record, fds []int) (*arriving, error) {
	a := &arriving{Record: *r}
	if err := a.attach(n.frontends[r.Frontend], fds, n.Balancer.TLS()); err != nil {
		return nil, err
	}
	return a, n.held.claim(a)
}

// TakenOver is how many connections came from the old process, and for how long no
// process served them.
type TakenOver struct {
	Connections    int
	P50, P99, Most time.Duration
}

// TakenOver returns which connections have arrived since its last call.
func (n *New) TakenOver() TakenOver { return n.pauses.summary() }

// pauses are for how long no process served the connections that arrived.
type pauses struct {
	mu  sync.Mutex
	all []time.Duration // guarded by mu
}

// add notes that sessions are served again.
func (p *pauses) add(sessions []*arriving, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range sessions {
		p.all = append(p.all, time.Duration(now-a.Detached))
	}
}

// summary summarizes the pauses and forgets them.
func (p *pauses) summary() (t TakenOver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(p.all)
	if n := len(p.all); n > 0 {
		t = TakenOver{Connections: n, P50: p.all[n/2], P99: p.all[n*99/100], Most: p.all[n-1]}
	}
	p.all = nil
	return t
}

// serveShare begins to serve sessions on their loop.
func (n *New) serveShare(loop *reactor.Loop, share []*arriving) {
	for _, a := range share {
		a.serve(loop)
	}
	n.pauses.add(share, n.Balancer.Engine().Now())
}
