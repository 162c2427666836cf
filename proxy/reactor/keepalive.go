//go:build linux

package reactor

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Liveness says how a peer that has vanished is noticed.
type Liveness struct {
	// UserTimeout is how long data may be unacknowledged; 0 = as long as the kernel
	// repeats it (TCP_USER_TIMEOUT, tcp(7)).
	UserTimeout time.Duration
	// KeepAlive is how long a connection is idle before the kernel sends a probe,
	// then one every sixth of it; after three unanswered the peer is gone. 0 = never.
	KeepAlive time.Duration
}

// SocketOption is an option of a socket: setsockopt(2).
type SocketOption struct{ Level, Option, Value int }

// KeepAliveOptions returns the options of a socket that KeepAlive stands for. A
// listening socket hands them on to those that it accepts.
func (v Liveness) KeepAliveOptions() []SocketOption {
	if v.KeepAlive <= 0 {
		return []SocketOption{{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0}}
	}
	idle := seconds(v.KeepAlive)
	return []SocketOption{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(1, (idle+3)/6)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probes},
	}
}

// probes is how many unanswered probes say that a peer is gone.
const probes = 3

// seconds rounds up: the kernel knows whole seconds.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// millis is what TCP_USER_TIMEOUT takes.
func (v Liveness) millis() int { return int(v.UserTimeout / time.Millisecond) }

// The kernel gives up a connection that TCP_USER_TIMEOUT is set for after that time
// without a sign of the peer and one unanswered probe, instead of after the number
// of probes that was asked for (Linux, tcp_keepalive_timer). So the option is set
// only while data may be unacknowledged:
//
//	a connection is   TCP_USER_TIMEOUT  until
//	busy              set               a sweep finds that nothing was sent since the
//	                                    last one, and that all is acknowledged: idle
//	idle              0                 something is sent: busy
//
// Sweeps are frequent enough that a connection is idle before its first probe. A
// connection that was dialed gets the options of keep-alive then, too, so that
// short ones cost nothing. So an idle period costs a few system calls, and a
// message none.
const (
	wrote   connFlags = 1 << (iota + 10) // since the last sweep, or maybe
	idle                                 // TCP_USER_TIMEOUT is 0 for now
	probing                              // the options of keep-alive are set
)

// Watch says how the peer of a connection that was accepted is watched: by options
// that its listening socket had when it came.
func (c *Conn) Watch(v Liveness) {
	c.liveness = c.loop.sweeper.kind(v)
	c.flags |= probing
}

// watchDialed is Watch for a connection that was dialed.
func (c *Conn) watchDialed(v Liveness) { c.liveness = c.loop.sweeper.kind(v) }

// sending notes that something is sent.
func (c *Conn) sending() {
	c.flags |= wrote
	if c.flags&idle != 0 {
		c.flags &^= idle
		c.loop.system.SetOption(int(c.fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, c.loop.sweeper.kinds[c.liveness].millis())
	}
}

// rest makes a connection idle, if it is.
func (c *Conn) rest(v Liveness) {
	switch {
	case c.flags&(closed|connecting|idle|finPending) != 0, c.parked != nil, v.KeepAlive == 0:
		return
	case c.flags&wrote != 0:
		c.flags &^= wrote
		return
	case c.flags&probing != 0 && v.UserTimeout == 0:
		return
	}
	if n, errno := c.loop.system.Unacked(int(c.fd)); errno != 0 || n > 0 {
		return
	}
	if v.UserTimeout > 0 {
		c.flags |= idle
		c.loop.system.SetOption(int(c.fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0)
	}
	if c.flags&probing == 0 {
		c.flags |= probing
		for _, o := range v.KeepAliveOptions() {
			c.loop.system.SetOption(int(c.fd), o.Level, o.Option, o.Value)
		}
	}
}

// sweeper finds the connections of a loop that are idle. It visits all of them
// twice within the shortest time of keep-alive, some at a time.
type sweeper struct {
	loop  *Loop
	timer Timer
	kinds []Liveness // by Conn.liveness; the first is the zero Liveness
	place int        // in the loop's table, where the next step begins
}

// sweepSteps is in how many steps a sweep visits all connections.
const sweepSteps = 16

// mostKinds is how many kinds of Liveness a loop tells apart: of one more, the peers
// are watched by what the kernel makes of the options that are set.
const mostKinds = 256

// kind returns the number of v.
func (s *sweeper) kind(v Liveness) uint8 {
	if len(s.kinds) == 0 {
		s.kinds = append(s.kinds, Liveness{})
	}
	i := slices.Index(s.kinds, v)
	if i < 0 && len(s.kinds) < mostKinds {
		i = len(s.kinds)
		s.kinds = append(s.kinds, v)
		if v.KeepAlive > 0 {
			s.arm()
		}
	}
	return uint8(max(i, 0))
}

// arm sets the time of the next step.
func (s *sweeper) arm() {
	shortest := time.Duration(0)
	for _, v := range s.kinds {
		if v.KeepAlive > 0 && (shortest == 0 || v.KeepAlive < shortest) {
			shortest = v.KeepAlive
		}
	}
	s.loop.Arm(&s.timer, s, s.loop.now+int64(shortest/2/sweepSteps))
}

// Expired implements Expirer: the next step.
func (s *sweeper) Expired(*Timer) {
	conns := &s.loop.conns
	if s.place >= conns.size() {
		s.place = 0
	}
	end := min(s.place+(conns.size()+sweepSteps-1)/sweepSteps, conns.size())
	for ; s.place < end; s.place++ {
		if c := conns.at(uint32(s.place)); c.flags&(used|closed) == used && c.liveness != 0 {
			c.rest(s.kinds[c.liveness])
		}
	}
	s.arm()
}
