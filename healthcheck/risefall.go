package healthcheck

import (
	"fmt"

	"mcplb/backend"
)

// unchecked is the level of a server without a verdict.
const unchecked = -1

// riseFall derives up and down from a sequence of passed and failed checks. Its state
// is one integer, the level (HAProxy, src/check.c): below rise the server is down,
// from rise on it is up. Its distance from the end of the range, top if up and 0 if
// down, is the number of contradicting results in a row.
//
//	level          means               a pass leads to             a failure leads to
//	-1             unchecked           top: UP, at once            0: DOWN, at once
//	0              down                1, or top: UP if rise = 1   0
//	1..rise-1      down, level passes  level+1; at rise top: UP    0
//	               in a row
//	rise..top-1    up, top-level       top                         level-1; below rise 0: DOWN
//	               failures in a row
//	top            up                  top                         top-1, or 0: DOWN if fall = 1
//
// where top = rise+fall-1. Weak evidence (a reset connection) is a failure that
// stops at level rise: one more failure is needed to take the server down.
//
// The zero value is not usable: see newRiseFall. It is not safe for concurrent
// use.
type riseFall struct {
	rise, fall int // at least 1
	level      int
}

// newRiseFall starts from an existing verdict, or from none (Unchecked). Numbers
// below 1 count as 1.
func newRiseFall(rise, fall int, from backend.Health) riseFall {
	c := riseFall{rise: max(rise, 1), fall: max(fall, 1), level: unchecked}
	switch from {
	case backend.Up:
		c.level = c.top()
	case backend.Down:
		c.level = 0
	}
	return c
}

// reconfigured returns c with other numbers. It keeps the verdict, and as much of the
// progress towards the opposite as fits.
func (c riseFall) reconfigured(rise, fall int) riseFall {
	next := newRiseFall(rise, fall, c.health())
	switch deviating := c.deviating(); c.health() {
	case backend.Up:
		next.level -= min(deviating, next.fall-1)
	case backend.Down:
		next.level += min(deviating, next.rise-1)
	}
	return next
}

func (c *riseFall) pass() {
	if c.level >= 0 && c.level < c.rise-1 {
		c.level++
		return
	}
	c.level = c.top()
}

func (c *riseFall) fail() {
	if c.level > c.rise {
		c.level--
		return
	}
	c.level = 0
}

// weaken counts weak evidence, which never takes a server down alone.
func (c *riseFall) weaken() {
	if c.level > c.rise {
		c.level--
	}
}

func (c riseFall) top() int { return c.rise + c.fall - 1 }

func (c riseFall) health() backend.Health {
	switch {
	case c.level == unchecked:
		return backend.Unchecked
	case c.level < c.rise:
		return backend.Down
	}
	return backend.Up
}

// deviating returns the number of results in a row that contradict the verdict.
func (c riseFall) deviating() int {
	switch c.health() {
	case backend.Up:
		return c.top() - c.level
	case backend.Down:
		return c.level
	}
	return 0
}

// moving reports whether a change of state is pending.
func (c riseFall) moving() bool { return c.deviating() > 0 }

// progress describes a pending change of state, such as "1/2 down"; "" if there is
// none.
func (c riseFall) progress() string {
	switch {
	case !c.moving():
		return ""
	case c.health() == backend.Up:
		return fmt.Sprintf("%d/%d down", c.deviating(), c.fall)
	}
	return fmt.Sprintf("%d/%d up", c.deviating(), c.rise)
}
