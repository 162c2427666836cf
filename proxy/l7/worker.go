package l7

import (
	"sync"
	"time"

	"mcplb/backend"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/http1"
	"mcplb/proxy/http2"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
	"mcplb/proxy/rules"
	"mcplb/ratelimit"
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
			out:   make([]byte, 0, 2*reactor.ReadSize),
			pools: map[*backend.Server]*upstreamPool{},
		}
	}
	return workers
}

// CloseIdle closes the connections kept to a server that went down. Any
// goroutine may call it.
func (ws Workers) CloseIdle(server *backend.Server) {
	for _, w := range ws {
		w.loop.Post(func() {
			if o := w.pools[server]; o != nil {
				o.closeIdle()
			}
		})
	}
}

// sparedAtOnce is how many idle connections are closed when descriptors run short:
// enough that this is rare, and few enough that most stay in use.
const sparedAtOnce = 16

// Spare closes some of the connections that the loop keeps to servers and no
// exchange uses, and returns how many. It runs on the loop's goroutine.
func (ws Workers) Spare(loop *reactor.Loop) (closed int) {
	for _, o := range ws[loop.ID()].pools {
		if closed += o.closeOldest(sparedAtOnce - closed); closed == sparedAtOnce {
			break
		}
	}
	return closed
}

// Forget closes the connections kept to a server that a reload removed. What
// is under way there continues to its end. Any goroutine may call it.
func (ws Workers) Forget(server *backend.Server) {
	for _, w := range ws {
		w.loop.Post(func() {
			if o := w.pools[server]; o != nil {
				o.gone = true
				o.closeIdle()
				w.mu.Lock()
				defer w.mu.Unlock()
				delete(w.pools, server)
			}
		})
	}
}

// worker belongs to one loop: memory in which heads are parsed and written, and the
// upstream pools.
type worker struct {
	loop       *reactor.Loop
	number, of int // which of how many workers this is
	log        *accesslog.Buffer
	request    http1.RequestHead
	input      input // of request
	response   http1.ResponseHead
	out        []byte // where heads are written before they are sent
	path       []byte // where a path is written in its canonical form
	made       []byte // where a bodyEncoder writes what is put into chunks
	inflated   []byte // where it decodes what is compressed
	encoders   encoders
	paces      paces
	scanner    mcp.BodyScanner
	probe      [1]byte
	origins    origins
	taskTags   []mcp.TaskTag // of the ids of request
	taskBody   []byte        // where the body of a request, or response, is put together

	// What rules work with, where a frontend has any.
	ruled    rules.Request // that of request
	matching rules.Scratch
	values   rules.Values
	name     []byte // where Mcp-Name is decoded
	rulings  rulings
	ids      ids
	calls    calls
	readers  bodyReaders
	taken    rules.Shares      // the routes that the messages of request take
	claims   []ratelimit.Claim // of request
	keyed    []byte            // where account keys are made
	names    []byte            // where method and name of request are decoded

	date     []byte // the present second, in the form of a Date field
	dateEnds int64  // when it is out of date, on the loop's clock

	mu    sync.Mutex // held by the loop to change pools, and by others to read them
	pools map[*backend.Server]*upstreamPool

	// For clients of HTTP/2.
	http2       http2.Shared
	sent        http1.ResponseHead // an answer on its way to a stream
	replies     []byte             // frames that answer what is read
	frames      []byte             // other frames before they are written
	credit      []byte             // likewise, while those are made
	chunk       []byte             // of a body that is received
	touched     []*stream          // see multiplexer.touch
	list        []*stream          // see inTurn
	idleStreams []*stream
	noSlot      backend.Slot
}

// input is what the parsed request head was read from. It holds until the loop
// reads or parses again.
type input struct {
	of      *client
	p       []byte // the head, and what follows it
	n       int    // the head's length
	pending bool   // p is what the client has pending
}

// now is the value of a Date field. It is written once a second.
func (w *worker) now() []byte {
	if now := w.loop.Now(); now >= w.dateEnds {
		w.date = http1.AppendDate(w.date[:0], time.Now().UTC())
		w.dateEnds = now + int64(time.Second)
	}
	return w.date
}

// upstreams is the loop's pool of connections to the server.
func (w *worker) upstreams(server *backend.Server) *upstreamPool {
	if o := w.pools[server]; o != nil {
		return o
	}
	o := &upstreamPool{worker: w, server: server, tag: mcp.TagOf(server.Name()), counters: server.Counters(w.loop.ID())}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pools[server] = o
	return o
}

// share is this loop's part of what all loops together may keep.
func (w *worker) share(most int) int { return (most + w.of - 1 - w.number) / w.of }
