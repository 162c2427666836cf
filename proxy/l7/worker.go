//go:build linux

package l7

import (
	"time"

	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/reactor"
)

// Workers are what all http frontends share on each loop. Made once for an
// engine; a worker is used on its loop's goroutine only.
type Workers []*worker

// NewWorkers makes a worker for every loop.
func NewWorkers(loops []*reactor.Loop) Workers {
	workers := make(Workers, len(loops))
	for i, loop := range loops {
		workers[i] = &worker{loop: loop, out: make([]byte, 0, 2*reactor.ReadSize), idle: map[*backend.Server]*idleList{}}
	}
	return workers
}

// worker is one loop's: memory to parse and write heads in, and the kept-alive
// upstream connections that no client uses at the moment.
type worker struct {
	loop     *reactor.Loop
	request  http1.RequestHead
	response http1.ResponseHead
	out      []byte // where heads are written before they are sent
	idle     map[*backend.Server]*idleList

	date     []byte // the present second, as Date writes it
	dateEnds int64  // when it is out of date, on the loop's clock
}

// now is the value of a Date field. It is written once a second.
func (w *worker) now() []byte {
	if now := w.loop.Now(); now >= w.dateEnds {
		w.date = http1.AppendDate(w.date[:0], time.Now().UTC())
		w.dateEnds = now + int64(time.Second)
	}
	return w.date
}

// idleList holds the kept-alive connections to one server, the one used last
// at the end. It is taken from there, so that those that are not needed grow
// old at the front and expire.
type idleList struct {
	conns []*upstream
}

// idleLimit is how long a kept-alive connection may wait to be used again: less
// than what servers commonly allow (Node: 5 s), for a request on a connection
// that the server is closing meanwhile is lost.
const idleLimit = int64(4 * time.Second)

// take returns a kept-alive connection to the server, or nil.
func (w *worker) take(server *backend.Server) *upstream {
	list := w.idle[server]
	if list == nil || len(list.conns) == 0 {
		return nil
	}
	last := len(list.conns) - 1
	u := list.conns[last]
	list.conns[last] = nil
	list.conns = list.conns[:last]
	w.loop.Disarm(&u.timer)
	return u
}

// put keeps a connection for the next request to its server, or closes it when
// as many as may be are kept.
func (w *worker) put(u *upstream, most int) {
	list := w.idle[u.server]
	if list == nil {
		list = &idleList{}
		w.idle[u.server] = list
	}
	if len(list.conns) >= most || u.server.State().Health == backend.Down {
		u.conn.Close()
		return
	}
	u.client = nil
	list.conns = append(list.conns, u)
	w.loop.Arm(&u.timer, u, w.loop.Now()+idleLimit)
}

// forget takes an idle connection out of its list: it is no good any more.
func (w *worker) forget(u *upstream) {
	list := w.idle[u.server]
	for i, other := range list.conns {
		if other == u {
			list.conns = append(list.conns[:i], list.conns[i+1:]...)
			break
		}
	}
	if len(list.conns) == 0 {
		delete(w.idle, u.server)
	}
}

// CloseIdle closes the connections kept to a server that went down or away.
// Any goroutine may call it.
func (ws Workers) CloseIdle(server *backend.Server) {
	for _, w := range ws {
		w.loop.Post(func() {
			for u := w.take(server); u != nil; u = w.take(server) {
				u.conn.Close()
			}
			delete(w.idle, server)
		})
	}
}
