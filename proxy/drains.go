package proxy

import (
	"context"
	"time"

	"mcplb/backend"
)

// drainInterval is how often servers that drain are looked at.
const drainInterval = time.Second

// drains watches the servers that drain: which of them are empty.
type drains struct {
	proxy *Proxy
	stop  context.CancelFunc
	ended chan struct{}
}

// watchDrains begins to watch. The caller must close it.
func watchDrains(p *Proxy) *drains {
	ctx, stop := context.WithCancel(context.Background())
	d := &drains{proxy: p, stop: stop, ended: make(chan struct{})}
	go d.run(ctx)
	return d
}

// close ends it.
func (d *drains) close() {
	d.stop()
	<-d.ended
}

func (d *drains) run(ctx context.Context) {
	defer close(d.ended)
	ticker := time.NewTicker(drainInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.look(time.Now())
		}
	}
}

// look is one look, at the time now. Only servers that drain are counted. While a
// hand-over is under way, no process knows all their clients.
func (d *drains) look(now time.Time) {
	p := d.proxy
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.suspended || p.handing || p.draining || p.replaced {
		return
	}
	for _, b := range p.backends {
		for _, server := range b.Servers() {
			d.lookAt(b, server, now)
		}
	}
}

func (d *drains) lookAt(b *pool, server *backend.Server, now time.Time) {
	state := server.State()
	if !state.Draining() {
		return
	}
	empty := server.Empty(d.proxy.engine.Now())
	if empty == !state.Emptied.IsZero() {
		return
	}
	server.SetEmptied(empty, now)
	if empty {
		d.proxy.options.Log.Info("draining server is empty: no connections and no sessions are left", "backend", b.Name(), "server", server.Name())
	} else {
		d.proxy.options.Log.Info("draining server has clients again", "backend", b.Name(), "server", server.Name())
	}
}
