package proxy

import (
	"context"
	"sync/atomic"

	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// eachSession calls visit for every session, streams before their connection, on its loop, and then, once, done. It
// returns without waiting.
func eachSession(engine *reactor.Engine, visit func(session.Session), done func()) {
	var left atomic.Int32
	left.Store(int32(len(engine.Loops())))
	ended := func() {
		if left.Add(-1) == 0 {
			done()
		}
	}
	visitConn := func(c *reactor.Conn) { session.Each(c, visit) }
	for _, loop := range engine.Loops() {
		if !loop.Post(func() { loop.Sweep(visitConn, ended) }) {
			ended()
		}
	}
}

// collect calls visit for every session, on its loop, with that loop's R, and
// returns all Rs when the loops are done. If ctx ends first, it returns ctx's
// error.
func collect[R any](ctx context.Context, engine *reactor.Engine, visit func(*reactor.Loop, *R, *reactor.Conn, session.Session)) ([]R, error) {
	results := make(chan *R, len(engine.Loops()))
	waitFor := 0
	for _, loop := range engine.Loops() {
		posted := loop.Post(func() {
			result := new(R)
			loop.Sweep(func(c *reactor.Conn) {
				session.Each(c, func(s session.Session) { visit(loop, result, c, s) })
			}, func() { results <- result })
		})
		if posted {
			waitFor++
		}
	}
	var all []R
	for range waitFor {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case result := <-results:
			all = append(all, *result)
		}
	}
	return all, nil
}
