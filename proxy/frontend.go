package proxy

import (
	"net/netip"
	"sync/atomic"

	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/l4"
	"mcplb/proxy/l7"
	"mcplb/proxy/metrics"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/proxy/tlsio"

	"golang.org/x/sys/unix"
)

// frontend is a frontend of one layer, as the balancer as a whole deals with
// it.
type frontend interface {
	reactor.AcceptHandler
	// show adds what it counts.
	show(shown *admin.Frontend)
	// name is the layer's.
	name() string
	// Current is the number of its clients now.
	Current() int
	// ClearPeaks has every peak begin anew.
	ClearPeaks()
	// drain has connections end where they have a good place to.
	drain()
	// counters are what one loop counts.
	counters(loop int) metrics.Set
	Peak() int
	RestorePeak(n int)
	// config are its settings, which are not to be changed.
	config() *conf.Frontend
	// tls is what speaks TLS; nil: it never did.
	tls() *tlsio.Server
}

// layered is the frontend of one name. Its mode may change, and with it the
// layer that takes new clients; those of the other live on, and what was
// counted stays. It implements reactor.AcceptHandler.
type layered struct {
	proxy  *Proxy
	now    atomic.Pointer[frontend] // that takes clients; read by loops
	stream *streamFrontend          // modes tcp and mcp; nil = never had any. Guarded by Proxy.mu, as is web.
	web    *httpFrontend            // mode http; nil = never had it
}

// apply gives the frontend its settings. It begins with the first.
func (f *layered) apply(c *conf.Frontend, directory *l7.Directory) {
	var now frontend
	if c.Mode == conf.ModeHTTP {
		now = f.applyWeb(c, directory)
	} else {
		now = f.applyStream(c, directory)
		if f.web != nil {
			f.web.drain()
		}
	}
	f.now.Store(&now)
}

func (f *layered) applyWeb(c *conf.Frontend, directory *l7.Directory) frontend {
	if f.web == nil {
		secure, p := &secure{workers: f.proxy.secures}, f.proxy
		f.web = &httpFrontend{l7.NewFrontend(httpSettings(c, directory, secure), p.shared(), p.workers), secure}
		return f.web
	}
	f.web.Apply(httpSettings(c, directory, f.web.secure))
	return f.web
}

// shared is what all frontends share.
func (p *Proxy) shared() session.Shared {
	return session.Shared{Limiter: p.limiter, Connections: p.connections, Log: p.log, Loops: len(p.engine.Loops())}
}

func (f *layered) applyStream(c *conf.Frontend, directory *l7.Directory) frontend {
	if f.stream == nil {
		secure, p := &secure{workers: f.proxy.secures}, f.proxy
		f.stream = &streamFrontend{l4.NewFrontend(streamSettings(c, directory, secure), p.shared()), secure}
		return f.stream
	}
	f.stream.Apply(streamSettings(c, directory, f.stream.secure))
	return f.stream
}

// complete makes the layer of c's mode, if there is none: for the sessions of
// another process that began in it. It takes new clients, and does not drain,
// only where it is the first.
func (f *layered) complete(c *conf.Frontend, directory *l7.Directory) {
	var made frontend
	switch {
	case c.Mode == conf.ModeHTTP && f.web == nil:
		made = f.applyWeb(c, directory)
	case c.Mode != conf.ModeHTTP && f.stream == nil:
		made = f.applyStream(c, directory)
	default:
		return
	}
	if !f.now.CompareAndSwap(nil, &made) {
		made.drain()
	}
}

// layers are those that there are, the one that takes clients first.
func (f *layered) layers() []frontend {
	now := *f.now.Load()
	all := []frontend{now}
	if f.stream != nil && now != frontend(f.stream) {
		all = append(all, f.stream)
	}
	if f.web != nil && now != frontend(f.web) {
		all = append(all, f.web)
	}
	return all
}

// MayAccept implements reactor.AcceptHandler.
func (f *layered) MayAccept() bool { return (*f.now.Load()).MayAccept() }

// Accepted implements reactor.AcceptHandler.
func (f *layered) Accepted(loop *reactor.Loop, fd int, from netip.AddrPort) {
	(*f.now.Load()).Accepted(loop, fd, from)
}

// AcceptFailed implements reactor.AcceptHandler.
func (f *layered) AcceptFailed(errno unix.Errno) { (*f.now.Load()).AcceptFailed(errno) }

// show fills in what the frontend counts.
func (f *layered) show(shown *admin.Frontend) {
	for _, layer := range f.layers() {
		layer.show(shown)
	}
}

// current is the number of clients now.
func (f *layered) current() (n int) {
	for _, layer := range f.layers() {
		n += layer.Current()
	}
	return n
}

// Peak is the most clients that there have been at once, as far as one layer
// knows.
func (f *layered) Peak() (n int) {
	for _, layer := range f.layers() {
		n = max(n, layer.Peak())
	}
	return n
}

// RestorePeak takes over what Peak was in another process.
func (f *layered) RestorePeak(n int) { (*f.now.Load()).RestorePeak(n) }

// ClearPeaks has every peak begin anew.
func (f *layered) ClearPeaks() {
	for _, layer := range f.layers() {
		layer.ClearPeaks()
	}
}

// drain has connections end where they have a good place to.
func (f *layered) drain() {
	for _, layer := range f.layers() {
		layer.drain()
	}
}

// streamFrontend is a frontend of mode tcp or mcp.
type streamFrontend struct {
	*l4.Frontend
	secure *secure
}

func streamSettings(c *conf.Frontend, directory *l7.Directory, secure *secure) session.Settings {
	return session.Settings{Frontend: *c, Pool: directory.Pool(c.Backend), TLS: secure.apply(c)}
}

func (f streamFrontend) show(shown *admin.Frontend) {
	totals := f.Totals()
	showTotals(shown, &totals)
	f.secure.show(shown, &f.Settings().Frontend)
	showNow(shown, f.Current(), f.Peak())
}

func (f streamFrontend) drain() {}

func (f streamFrontend) tls() *tlsio.Server { return f.secure.server }

func (f streamFrontend) config() *conf.Frontend { return &f.Settings().Frontend }

func (f streamFrontend) name() string { return "stream" }

func (f streamFrontend) counters(loop int) metrics.Set { return f.Counters(loop) }

// httpFrontend is a frontend of mode http.
type httpFrontend struct {
	*l7.Frontend
	secure *secure
}

func httpSettings(c *conf.Frontend, directory *l7.Directory, secure *secure) l7.Settings {
	s := l7.NewSettings(*c, directory)
	s.TLS = secure.apply(c)
	return s
}

func (f httpFrontend) show(shown *admin.Frontend) {
	totals := f.Totals()
	showTotals(shown, &totals.Totals)
	f.secure.show(shown, &f.Settings().Frontend)
	showNow(shown, f.Current(), f.Peak())
	shown.HTTP = &admin.HTTP{
		Requests: totals.Requests, Responses: totals.Status, OwnResponses: totals.Own, Malformed: totals.Malformed,
		Compressed: totals.Zipped, Tunnels: totals.Tunnels, BadFrames: totals.BadFrames,
		Eras: totals.Eras, Methods: totals.Methods,
		SessionRequests: totals.WithSession, SessionsOpened: totals.Opened,
	}
}

func (f httpFrontend) drain() { f.Drain() }

func (f httpFrontend) tls() *tlsio.Server { return f.secure.server }

func (f httpFrontend) config() *conf.Frontend { return &f.Settings().Frontend }

func (f httpFrontend) name() string { return "http" }

func (f httpFrontend) counters(loop int) metrics.Set { return f.Counters(loop) }

// showNow adds the connections that there are.
func showNow(shown *admin.Frontend, current, peak int) {
	shown.Connections.Current += int64(current)
	shown.Connections.Peak += int64(peak)
}

// showTotals adds what both layers count.
func showTotals(shown *admin.Frontend, totals *session.Totals) {
	shown.Connections.Total += totals.Sessions
	shown.BytesIn += totals.BytesIn
	shown.BytesOut += totals.BytesOut
	shown.MessagesIn += totals.MessagesIn
	shown.MessagesOut += totals.MessagesOut
	shown.MessagesDelayed += totals.Delayed
	shown.MessagesRejected += totals.Rejected
	addCounts(&shown.Refused, totals.Refused)
	addCounts(&shown.SessionsEnded, totals.Ended)
	addTiming(&shown.Connect, totals.Connect)
	addTiming(&shown.Queue, totals.Queue)
}

// addCounts adds counters by reason.
func addCounts(to *map[string]uint64, counts map[string]uint64) {
	if *to == nil {
		*to = map[string]uint64{}
	}
	for reason, n := range counts {
		(*to)[reason] += n
	}
}

func addTiming(to *admin.Timing, t metrics.TimingTotal) {
	to.Count += t.Count
	to.SumSeconds += t.Sum.Seconds()
	to.MaxSeconds = max(to.MaxSeconds, t.Max.Seconds())
}
