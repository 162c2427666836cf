package admin

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	tokens "golang.org/x/time/rate"
)

// A flood of requests costs clients nothing, because drawings are few: after the first
// ones of a burst, a drawing is used for reuseTime. What a script or a person sees is
// always new, unless pages are requested much more often than that.
const (
	reuseTime      = 200 * time.Millisecond
	freshBurst     = 20
	freshPerSecond = 5

	// After a drawing there is a rest of restFactor times its duration, so that pages
	// with many servers do not take a processor from clients either.
	restFactor  = 4
	longestRest = 250 * time.Millisecond

	mostDrawings = 64 // that are held, unless more are new
)

// drawings draws pages, one at a time, and holds the latest drawing of each. Who
// wants one that is being drawn waits for it. Any goroutine may call its methods.
type drawings struct {
	log   *slog.Logger
	fresh *tokens.Limiter

	turn chan struct{} // full while something is drawn, and afterwards for the rest

	mu      sync.Mutex // guards what follows
	latest  map[string]*drawing
	changes uint64 // calls of expire
}

// drawing is a page that is drawn, or is being drawn. Once done is closed, it does not
// change.
type drawing struct {
	done    chan struct{}
	changes uint64    // drawings.changes when it was begun
	begun   time.Time // when its Snapshot was taken; the zero time while it waits for its turn
	page    captured
}

func newDrawings(log *slog.Logger) *drawings {
	return &drawings{
		log: log, fresh: tokens.NewLimiter(freshPerSecond, freshBurst),
		turn: make(chan struct{}, 1), latest: map[string]*drawing{},
	}
}

// expire makes every later request draw again.
func (d *drawings) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
}

// cached returns a handler that responds with what draw draws. Requests of one
// key get the same drawing.
func (d *drawings) cached(key func(*http.Request) string, draw http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one, mine := d.claim(r.Pattern + " " + key(r))
		if mine {
			d.draw(one, draw, r)
		}
		select {
		case <-one.done:
			one.page.replay(w)
		case <-r.Context().Done(): // the client has gone
		}
	})
}

// claim returns the drawing of a key that is to be used now. If it is the caller's, the
// caller draws it.
func (d *drawings) claim(key string) (one *drawing, mine bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one = d.latest[key]
	if one != nil && one.changes == d.changes && d.usable(one) {
		return one, false
	}
	if len(d.latest) >= mostDrawings {
		maps.DeleteFunc(d.latest, func(_ string, old *drawing) bool { return !old.begun.IsZero() && time.Since(old.begun) > reuseTime })
	}
	one = &drawing{done: make(chan struct{}), changes: d.changes}
	d.latest[key] = one
	return one, true
}

// usable reports whether a drawing shows the state as it is now, closely enough.
func (d *drawings) usable(one *drawing) bool {
	return one.begun.IsZero() || time.Since(one.begun) < reuseTime && !d.fresh.Allow()
}

// draw draws one.
func (d *drawings) draw(one *drawing, page http.Handler, r *http.Request) {
	d.turn <- struct{}{}
	begun := time.Now()
	d.mu.Lock()
	one.begun = begun
	d.mu.Unlock()
	func() {
		defer close(one.done)
		others := context.WithoutCancel(r.Context()) // who wait for it, too
		recovered(page, d.log).ServeHTTP(&one.page, r.WithContext(others))
	}()
	rest := min(restFactor*time.Since(begun), longestRest)
	time.AfterFunc(rest, func() { <-d.turn })
}

// captured is a response in memory. It implements http.ResponseWriter.
type captured struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (c *captured) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

// WriteHeader implements http.ResponseWriter.
func (c *captured) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

// Write implements http.ResponseWriter.
func (c *captured) Write(text []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	return c.body.Write(text)
}

// replay responds with c, which it does not change. A write error is ignored: the
// client has closed the connection.
func (c *captured) replay(w http.ResponseWriter) {
	maps.Copy(w.Header(), c.header)
	w.WriteHeader(max(c.status, http.StatusOK))
	_, _ = w.Write(c.body.Bytes())
}

// recovered turns a panic of next into a response with status 500 and a log line with
// the stack: a bug in a page must not leave its client without an answer.
func recovered(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			fault := recover()
			if fault == nil {
				return
			}
			if fault == http.ErrAbortHandler {
				panic(fault)
			}
			log.Error("a page has failed, which is a bug", "path", r.URL.Path, "panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
			fail(w, r, http.StatusInternalServerError, "a bug in mcplb: the log has the details")
		}()
		next.ServeHTTP(w, r)
	})
}
