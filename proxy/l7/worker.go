package l7

import (
	"sync"
	"sync/atomic"
	"time"

	"mcplb/backend"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
)

// Workers are what all http frontends share on each loop. Made once for an
// engine; a worker is used on its loop's goroutine only.
type Workers []*worker

// NewWorkers makes a worker for every loop. Requests are logged to log, unless
// that is nil.
func NewWorkers(loops []*reactor.Loop, log *accesslog.Log) Workers {
	workers := make(Workers, len(loops))
	for i, loop := range loops {
		workers[i] = &worker{
			loop: loop, number: i, of: len(loops), log: log.Buffer(i),
			out:     make([]byte, 0, 2*reactor.ReadSize),
			origins: map[*backend.Server]*origin{},
		}
	}
	return workers
}

// CloseIdle closes the connections kept to a server that went down. Any
// goroutine may call it.
func (ws Workers) CloseIdle(server *backend.Server) {
	for _, w := range ws {
		w.loop.Post(func() {
			if o := w.origins[server]; o != nil {
				o.closeIdle()
			}
		})
	}
}

// Forget closes the connections kept to a server that a reload took away. What
// is under way there goes on to its end. Any goroutine may call it.
func (ws Workers) Forget(server *backend.Server) {
	for _, w := range ws {
		w.loop.Post(func() {
			if o := w.origins[server]; o != nil {
				o.gone = true
				o.closeIdle()
				w.mu.Lock()
				defer w.mu.Unlock()
				delete(w.origins, server)
			}
		})
	}
}

// worker is one loop's: memory to parse and write heads in, and what it knows
// of the servers.
type worker struct {
	loop       *reactor.Loop
	number, of int // which of how many workers this is
	log        *accesslog.Buffer
	request    http1.RequestHead
	response   http1.ResponseHead
	out        []byte // where heads are written before they are sent
	made       []byte // where a recoder writes what is put into chunks
	recoders   recoders
	scanner    mcp.BodyScanner
	probe      [1]byte

	date     []byte // the present second, as Date writes it
	dateEnds int64  // when it is out of date, on the loop's clock

	mu      sync.Mutex // held by the loop to change origins, and by others to read them
	origins map[*backend.Server]*origin
}

// now is the value of a Date field. It is written once a second.
func (w *worker) now() []byte {
	if now := w.loop.Now(); now >= w.dateEnds {
		w.date = http1.AppendDate(w.date[:0], time.Now().UTC())
		w.dateEnds = now + int64(time.Second)
	}
	return w.date
}

// origin is what the loop knows of the server.
func (w *worker) origin(server *backend.Server) *origin {
	if o := w.origins[server]; o != nil {
		return o
	}
	o := &origin{worker: w, server: server, tag: mcp.TagOf(server.Name()), counters: server.Counters(w.loop.ID())}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.origins[server] = o
	return o
}

// share is this loop's part of what all loops together may keep.
func (w *worker) share(most int) int { return (most + w.of - 1 - w.number) / w.of }

// origin is a server as one loop knows it: the kept-alive connections that no
// client uses at the moment.
type origin struct {
	worker   *worker
	server   *backend.Server
	tag      mcp.Tag // what sessions and cookies call it
	counters *backend.Counters
	// idle has the connection used last at the end. It is taken from there, so
	// that those that are not needed grow old at the front and expire.
	idle   [len(endpoints)][]*upstream
	waits  atomic.Int32 // how many those are, for others to read
	gone   bool         // a reload took the server away
	dialed int          // connection attempts, to use source addresses in turn
}

// idleLimit is how long a kept-alive connection may wait to be used again: less
// than what servers commonly allow (Node: 5 s), for a request on a connection
// that the server is closing meanwhile is lost.
const idleLimit = int64(4 * time.Second)

// freshFor is how long a kept-alive connection is believed to be alive without
// a look: its end would have been told by the loop's next turn.
const freshFor = int64(100 * time.Millisecond)

// take returns a kept-alive connection to an endpoint of the server, or nil.
func (o *origin) take(endpoint uint8) *upstream {
	for list := o.idle[endpoint]; len(list) > 0; list = o.idle[endpoint] {
		last := len(list) - 1
		u := list[last]
		list[last] = nil
		o.idle[endpoint] = list[:last]
		o.waits.Add(-1)
		if o.worker.loop.Now()-u.since < freshFor || u.silent() {
			return u
		}
		u.close()
	}
	return nil
}

// put keeps a connection for the next request to its server, or closes it when
// as many as may be are kept, or the server is not to be used.
func (o *origin) put(u *upstream, most int) {
	kept := 0
	for _, list := range o.idle {
		kept += len(list)
	}
	if kept >= o.worker.share(most) || o.gone || o.server.Removed() || !o.server.State().TakesBound() || !u.quiet() {
		u.close()
		return
	}
	u.client, u.since = nil, o.worker.loop.Now()
	o.idle[u.endpoint] = append(o.idle[u.endpoint], u)
	o.waits.Add(1)
	if !u.timer.Armed() {
		o.worker.loop.Arm(&u.timer, u, u.since+idleLimit)
	}
}

// drop closes an idle connection: it is no good any more.
func (o *origin) drop(u *upstream) {
	list := o.idle[u.endpoint]
	for i, other := range list {
		if other == u {
			copy(list[i:], list[i+1:])
			list[len(list)-1] = nil
			o.idle[u.endpoint] = list[:len(list)-1]
			o.waits.Add(-1)
			break
		}
	}
	u.close()
}

// closeIdle closes every connection that no client uses.
func (o *origin) closeIdle() {
	for e, list := range o.idle {
		o.idle[e] = nil
		o.waits.Add(-int32(len(list)))
		for _, u := range list {
			u.close()
		}
	}
}
