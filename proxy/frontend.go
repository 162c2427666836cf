package proxy

import (
	"net/netip"
	"sync/atomic"
	"time"

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

// frontend is one layer of a frontend, layer 4 or layer 7, as the rest of the
// balancer uses it.
type frontend interface {
	reactor.AcceptHandler
	// show adds its counters.
	show(shown *admin.Frontend)
	// name returns the name of the layer.
	name() string
	// Current returns the number of clients now.
	Current() int
	// ClearPeaks resets every peak to the value of now.
	ClearPeaks()
	// drain ends every connection at its next good place; a relay has none.
	drain()
	// setReplaced notes that a new process serves.
	setReplaced()
	// counters returns the counters of one loop.
	counters(loop int) metrics.Set
	// Peak returns the most clients that there have been at once.
	Peak() int
	// RestorePeak raises Peak to that of the old process.
	RestorePeak(n int)
	// config returns the settings, which must not be changed.
	config() *conf.Frontend
	// tlsServer returns the server's side of TLS, nil if the layer never had TLS.
	tlsServer() *tlsio.Server
}

// layered is the frontend of one name. Its mode may change, and with it the layer
// that accepts new clients. The clients and the counters of the other layer stay.
// It implements reactor.AcceptHandler.
type layered struct {
	proxy  *Proxy
	active atomic.Pointer[frontend] // the layer that accepts clients; read by loops
	stream *streamFrontend          // modes tcp and mcp; nil = never used. Guarded by Proxy.mu, as is http.
	http   *httpFrontend            // mode http; nil = never used
}

// apply changes the settings. The frontend accepts clients from the first call on.
func (f *layered) apply(c *conf.Frontend, directory *l7.Directory) {
	var active frontend
	if c.Mode == conf.ModeHTTP {
		active = f.applyHTTP(c, directory)
	} else {
		active = f.applyStream(c, directory)
		if f.http != nil {
			f.http.drain()
		}
	}
	f.active.Store(&active)
}

func (f *layered) applyHTTP(c *conf.Frontend, directory *l7.Directory) frontend {
	if f.http == nil {
		tls, p := &frontendTLS{workers: f.proxy.tlsWorkers}, f.proxy
		f.http = &httpFrontend{l7.NewFrontend(httpSettings(c, directory, tls), p.shared(), p.workers), tls, p.engine.Now}
		return f.http
	}
	f.http.Apply(httpSettings(c, directory, f.http.tls))
	return f.http
}

// shared returns what all frontends share.
func (p *Proxy) shared() session.Shared {
	return session.Shared{Limiter: p.limiter, Accounts: p.accounts, Connections: p.connections, Log: p.log, Loops: len(p.engine.Loops())}
}

func (f *layered) applyStream(c *conf.Frontend, directory *l7.Directory) frontend {
	if f.stream == nil {
		tls, p := &frontendTLS{workers: f.proxy.tlsWorkers}, f.proxy
		f.stream = &streamFrontend{l4.NewFrontend(streamSettings(c, directory, tls), p.shared()), tls}
		return f.stream
	}
	f.stream.Apply(streamSettings(c, directory, f.stream.tls))
	return f.stream
}

// ensureMode creates the layer of c's mode if there is none: for the sessions of the
// old process that began in this mode. If it is the first layer, it accepts new
// clients; otherwise it drains.
func (f *layered) ensureMode(c *conf.Frontend, directory *l7.Directory) {
	var created frontend
	switch {
	case c.Mode == conf.ModeHTTP && f.http == nil:
		created = f.applyHTTP(c, directory)
	case c.Mode != conf.ModeHTTP && f.stream == nil:
		created = f.applyStream(c, directory)
	default:
		return
	}
	if !f.active.CompareAndSwap(nil, &created) {
		created.drain()
	}
}

// layers returns the layers that exist, the one that accepts clients first.
func (f *layered) layers() []frontend {
	active := *f.active.Load()
	all := []frontend{active}
	if f.stream != nil && active != frontend(f.stream) {
		all = append(all, f.stream)
	}
	if f.http != nil && active != frontend(f.http) {
		all = append(all, f.http)
	}
	return all
}

// MayAccept implements reactor.AcceptHandler.
func (f *layered) MayAccept() bool { return (*f.active.Load()).MayAccept() }

// Accepted implements reactor.AcceptHandler.
func (f *layered) Accepted(loop *reactor.Loop, fd int, from netip.AddrPort) {
	(*f.active.Load()).Accepted(loop, fd, from)
}

// AcceptFailed implements reactor.AcceptHandler.
func (f *layered) AcceptFailed(errno unix.Errno) { (*f.active.Load()).AcceptFailed(errno) }

// show adds the counters of every layer.
func (f *layered) show(shown *admin.Frontend) {
	for _, layer := range f.layers() {
		layer.show(shown)
	}
}

// current returns the number of clients now.
func (f *layered) current() (n int) {
	for _, layer := range f.layers() {
		n += layer.Current()
	}
	return n
}

// Peak returns the most clients that one layer has had at once.
func (f *layered) Peak() (n int) {
	for _, layer := range f.layers() {
		n = max(n, layer.Peak())
	}
	return n
}

// RestorePeak raises Peak to that of the old process.
func (f *layered) RestorePeak(n int) { (*f.active.Load()).RestorePeak(n) }

// ClearPeaks resets every peak to the value of now.
func (f *layered) ClearPeaks() {
	for _, layer := range f.layers() {
		layer.ClearPeaks()
	}
}

// drain ends every connection at its next good place; a relay has none.
func (f *layered) drain() {
	for _, layer := range f.layers() {
		layer.drain()
	}
}

// setReplaced notes that a new process serves.
func (f *layered) setReplaced() {
	for _, layer := range f.layers() {
		layer.setReplaced()
	}
}

// streamFrontend is a frontend of mode tcp or mcp.
type streamFrontend struct {
	*l4.Frontend
	tls *frontendTLS
}

func streamSettings(c *conf.Frontend, directory *l7.Directory, tls *frontendTLS) session.Settings {
	return session.Settings{Frontend: *c, Pool: directory.Pool(c.Backend), TLS: tls.apply(c), Names: session.NewNameRoutes(c, directory.Pool), Access: session.NewAccess(c)}
}

func (f streamFrontend) show(shown *admin.Frontend) {
	totals := f.Totals()
	addTotals(shown, &totals)
	f.tls.show(shown, &f.Settings().Frontend)
	addClients(shown, f.Current(), f.Peak())
	shown.SNIRoutes = f.Names().Totals()
}

func (f streamFrontend) drain() {}

func (f streamFrontend) setReplaced() {}

func (f streamFrontend) tlsServer() *tlsio.Server { return f.tls.server }

func (f streamFrontend) config() *conf.Frontend { return &f.Settings().Frontend }

func (f streamFrontend) name() string { return "stream" }

func (f streamFrontend) counters(loop int) metrics.Set { return f.Counters(loop) }

// httpFrontend is a frontend of mode http.
type httpFrontend struct {
	*l7.Frontend
	tls *frontendTLS
	now func() int64 // the loops' clock
}

func httpSettings(c *conf.Frontend, directory *l7.Directory, tls *frontendTLS) l7.Settings {
	s := l7.NewSettings(*c, directory)
	s.TLS = tls.apply(c)
	return s
}

func (f httpFrontend) show(shown *admin.Frontend) {
	totals := f.Totals()
	addTotals(shown, &totals.Totals)
	f.tls.show(shown, &f.Settings().Frontend)
	addClients(shown, f.Current(), f.Peak())
	shown.HTTP = &admin.HTTP{
		Requests: totals.Requests, Responses: totals.Status, OwnResponses: totals.Own, Malformed: totals.Malformed,
		Compressed: totals.Zipped, Tunnels: totals.Tunnels, BadFrames: totals.BadFrames,
		Eras: totals.Eras, Methods: totals.Methods,
		HTTP2Connections: totals.Multiplexed, HTTP2Streams: totals.Streams, HTTP2Current: int64(totals.StreamsOpen), HTTP2Refused: totals.StreamsRefused,
		SessionRequests: totals.WithSession, SessionsOpened: totals.Opened,
		TaskRequests: totals.WithTask, TasksOpened: totals.TasksOpened,
	}
	f.showRules(shown.HTTP)
}

// recently is how long ago a limit was exceeded that counts as exceeded now.
const recently = int64(time.Minute)

// showRules shows what is counted for routes and tools.
func (f httpFrontend) showRules(shown *admin.HTTP) {
	totals := f.Rules().Totals()
	shown.Routes, shown.Tools = totals.Routes, make(map[string]*admin.Tool, len(totals.Tools))
	for name, tool := range totals.Tools {
		shown.Tools[name] = &admin.Tool{Requests: tool.Requests, Errors: tool.Errors, Duration: showLatency(tool.Duration)}
	}
	for _, l := range totals.Limits {
		shown.Limits = append(shown.Limits, admin.RouteLimit{
			Route: l.Route, Key: l.Key, Refused: l.Refused, Delayed: l.Delayed, Active: l.Last != 0 && f.now()-l.Last < recently,
		})
	}
}

func (f httpFrontend) drain() { f.Drain() }

func (f httpFrontend) setReplaced() { f.Replaced() }

func (f httpFrontend) tlsServer() *tlsio.Server { return f.tls.server }

func (f httpFrontend) config() *conf.Frontend { return &f.Settings().Frontend }

func (f httpFrontend) name() string { return "http" }

func (f httpFrontend) counters(loop int) metrics.Set { return f.Counters(loop) }

// addClients adds the numbers of clients.
func addClients(shown *admin.Frontend, current, peak int) {
	shown.Connections.Current += int64(current)
	shown.Connections.Peak += int64(peak)
}

// addTotals adds the counters that both layers have.
func addTotals(shown *admin.Frontend, totals *session.Totals) {
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
