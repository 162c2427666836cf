package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mcplb/backend"
	"mcplb/backend/discovery"
	"mcplb/conf"
)

const (
	// detourPause is how long after an attempt in vain the next one follows, while
	// the server is down.
	detourPause = 3 * time.Second
	// mostDetours is how many addresses of a name are tried at once.
	mostDetours = 8
)

// detours moves servers that are down to another address of their name, if that
// connects and the present one does not. Of a server with family = "any" (the default)
// whose name has several addresses:
//
//	event                                  next
//	its checks say that it is down         every address is tried: a TCP connection to each of its ports
//	the present address connects           it stays: it is the server that fails, not the way
//	another connects, the present does not it moves there, and is checked there
//	none connects                          it stays; tried again after detourPause
type detours struct {
	proxy *Proxy
	wake  chan struct{} // capacity 1: a server is down
	stop  context.CancelFunc
	ended chan struct{}
	turn  int // of the goroutine: which addresses are tried
}

// newDetours begins to watch for servers that are down.
func newDetours(p *Proxy) *detours {
	ctx, stop := context.WithCancel(context.Background())
	d := &detours{proxy: p, wake: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	go d.run(ctx)
	return d
}

// close ends it. Proxy.mu must not be held.
func (d *detours) close() {
	d.stop()
	<-d.ended
}

// look makes it look for servers that are down. It never blocks.
func (d *detours) look() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine of the attempts.
func (d *detours) run(ctx context.Context) {
	defer close(d.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		pause := time.Hour
		if stranded := d.stranded(); len(stranded) > 0 {
			d.tryAll(ctx, stranded)
			pause = detourPause
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-timer.C:
		}
	}
}

// detour is a name of a server that is down.
type detour struct {
	use     discovery.Use
	present netip.Addr
	others  []netip.Addr
	ports   []uint16
	limit   time.Duration // of a connection attempt
}

// stranded returns the names with several addresses of servers that are down.
func (d *detours) stranded() (all []detour) {
	p := d.proxy
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.suspended || p.handing || p.draining || p.replaced {
		return nil
	}
	for _, b := range p.backends {
		c := b.InForce()
		for i, server := range b.Servers() {
			if state := server.State(); state.Health == backend.Down && state.Admin != backend.Maint {
				all = append(all, strandedNames(c, &c.Servers[i], p.names)...)
			}
		}
	}
	return all
}

func strandedNames(b *conf.Backend, s *conf.Server, names *discovery.Names) (all []detour) {
	for _, use := range usesOfServer(b.Name, s) {
		d := detour{use: use, present: names.Address(use), others: names.Others(use), limit: min(b.Check.Timeout, b.TimeoutConnect)}
		if use.Family != conf.FamilyAny || len(d.others) == 0 {
			continue
		}
		for _, e := range allEndpoints {
			if host, port, ok := splitAddress(s.Address(e)); ok && host == use.Host && !slices.Contains(d.ports, port) {
				d.ports = append(d.ports, port)
			}
		}
		all = append(all, d)
	}
	return all
}

// tryAll tries the addresses of some names, some at once.
func (d *detours) tryAll(ctx context.Context, stranded []detour) {
	d.turn++
	var trying sync.WaitGroup
	places := make(chan struct{}, mostDetours)
	for i := range stranded {
		places <- struct{}{}
		trying.Go(func() {
			defer func() { <-places }()
			d.try(ctx, &stranded[i])
		})
	}
	trying.Wait()
}

// try moves a server to the first of the other addresses that connects, if the
// present one does not.
func (d *detours) try(ctx context.Context, t *detour) {
	if len(t.others) > mostDetours { // others in each turn
		first := d.turn * mostDetours % len(t.others)
		t.others = slices.Concat(t.others[first:], t.others[:first])[:mostDetours]
	}
	addresses := append([]netip.Addr{t.present}, t.others...)
	connects := make([]bool, len(addresses))
	var trying sync.WaitGroup
	for i, address := range addresses {
		trying.Go(func() { connects[i] = t.connects(ctx, address) })
	}
	trying.Wait()
	i := slices.Index(connects, true)
	if i <= 0 || ctx.Err() != nil || !d.proxy.names.Move(t.use, addresses[i]) {
		return
	}
	d.proxy.options.Log.Warn("an address does not connect, its server uses another one of the name's",
		"server", t.use.Server, "name", t.use.Host, "from", t.present.String(), "to", addresses[i].String())
}

// connects reports whether all ports of a server can be connected to at an address.
func (t *detour) connects(ctx context.Context, address netip.Addr) bool {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	for _, port := range t.ports {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(address, port).String())
		if err != nil {
			return false
		}
		_ = conn.Close()
	}
	return true
}
