package admin

import (
	"net"
	"sync"
	"time"
)

// ConnectionLimit bounds the connections of several HTTPServers together, so that they
// take no descriptors from clients of the balancer. A connection beyond it ends the one
// that has been idle for longest, so that a health check and an operator's command
// get in whatever holds the others. Any goroutine may call its methods.
type ConnectionLimit struct {
	mu   sync.Mutex // guards what follows, and the fields of connections that say so
	most int        // 0 = no limit
	open map[*limitedConn]struct{}
}

// NewConnectionLimit returns a limit of most connections; 0 = no limit.
func NewConnectionLimit(most int) *ConnectionLimit {
	return &ConnectionLimit{most: most, open: map[*limitedConn]struct{}{}}
}

// Set changes the limit, and ends connections that are beyond it.
func (l *ConnectionLimit) Set(most int) {
	l.mu.Lock()
	l.most = most
	var surplus []*limitedConn
	for most > 0 && len(l.open) > most {
		victim := l.idlest()
		if victim == nil {
			break // they end by themselves
		}
		delete(l.open, victim)
		surplus = append(surplus, victim)
	}
	l.mu.Unlock()
	for _, victim := range surplus {
		_ = victim.Conn.Close() // there is nothing to do about an error
	}
}

// admit counts a connection. It returns nil, and closes the connection, if all others are
// executing a request.
func (l *ConnectionLimit) admit(conn net.Conn) *limitedConn {
	admitted := &limitedConn{Conn: conn, limit: l, moved: time.Now()}
	victim, full := l.add(admitted)
	if full {
		_ = conn.Close() // there is nothing to do about an error
		return nil
	}
	if victim != nil {
		_ = victim.Conn.Close()
	}
	return admitted
}

// add adds a connection, and removes another if that is necessary.
func (l *ConnectionLimit) add(c *limitedConn) (victim *limitedConn, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most > 0 && len(l.open) >= l.most {
		if victim = l.idlest(); victim == nil {
			return nil, true
		}
		delete(l.open, victim)
	}
	l.open[c] = struct{}{}
	return victim, false
}

// idlest returns the connection on which nothing has moved for longest, of those that
// execute no request, or nil. A client that does not read its response is idle.
func (l *ConnectionLimit) idlest() (found *limitedConn) {
	for c := range l.open {
		if (!c.executing || c.writing) && (found == nil || c.moved.Before(found.moved)) {
			found = c
		}
	}
	return found
}

// Open returns the number of connections.
func (l *ConnectionLimit) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// limitedConn is a connection that a ConnectionLimit counts, until it is closed.
type limitedConn struct {
	net.Conn
	limit *ConnectionLimit

	// These are guarded by the limit's mutex.
	moved     time.Time // when something was last received or sent
	executing bool      // a request that may change something, or costs work
	writing   bool      // a response, which a client may not read
	api       bool      // the present request is one to the API
	begun     bool      // some of the present request has been read
}

// Read implements net.Conn.
func (c *limitedConn) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	if n > 0 {
		c.update(func() {
			c.moved = time.Now()
			if !c.begun && n > 1 { // net/http reads one byte ahead
				c.begun, c.api = true, asksAPI(into[:n])
			}
		})
	}
	return n, err
}

// Write implements net.Conn.
func (c *limitedConn) Write(text []byte) (int, error) {
	api := false
	c.update(func() { c.writing, c.begun, api = true, false, c.api })
	n, err := c.Conn.Write(inFormat(text, api))
	c.update(func() { c.writing, c.moved = false, time.Now() })
	if err == nil {
		n = len(text)
	}
	return min(n, len(text)), err
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.update(func() { delete(c.limit.open, c) })
	return c.Conn.Close()
}

// execute marks the beginning or the end of a request's execution.
func (c *limitedConn) execute(now bool) { c.update(func() { c.executing = now }) }

func (c *limitedConn) update(change func()) {
	c.limit.mu.Lock()
	defer c.limit.mu.Unlock()
	change()
}

// limitedListener accepts connections within a limit, and not faster than its pace. It
// implements net.Listener.
type limitedListener struct {
	net.Listener
	limit *ConnectionLimit
	pace  *pace
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.pace.wait(nil)
		boundSendBuffer(conn)
		if admitted := l.limit.admit(conn); admitted != nil {
			return admitted, nil
		}
	}
}

// sendBuffer is how much of a response the kernel holds for a client that does not read:
// without a bound some 4 MB each.
const sendBuffer = 128 << 10

func boundSendBuffer(conn net.Conn) {
	if socket, ok := conn.(*net.TCPConn); ok {
		_ = socket.SetWriteBuffer(sendBuffer) // it works without
	}
}
