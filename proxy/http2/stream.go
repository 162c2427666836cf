package http2

import "slices"

// Stream is one stream of a connection, from the HEADERS that open it until the caller
// releases it. Its states (RFC 9113 section 5.1); "idle" is a stream that no HEADERS have
// opened, and every stream that is not among the connection's has ended:
//
//	state       event                               next
//	open        the client's END_STREAM             remote
//	open        our END_STREAM                      local
//	remote      our END_STREAM                      closed
//	local       the client's END_STREAM             closed
//	any         RST_STREAM, of either side          closed
//	any         a malformed frame on the stream     closed; RST_STREAM is sent
//	closed      Release                             (gone)
//	any other   Release                             closed and gone; RST_STREAM is sent
//
// A stream counts among the concurrent ones until it is released.
type Stream struct {
	// User belongs to the caller.
	User any

	id    uint32
	state streamState
	early bool // opened before our SETTINGS were acknowledged

	sendWindow int32 // what the client takes of us; may be negative
	recvWindow int32 // what it may send
	granted    int32 // the size of its window
	held       int32 // received, and not yet given back as credit
	owed       int32 // given back by the caller, but not yet to the client
	taken      int32 // given back by the caller since the window grew

	sendLeft int64 // of our Content-Length; -1: none
	recvLeft int64 // of the client's
}

type streamState uint8

const (
	streamOpen   streamState = iota
	streamRemote             // half-closed (remote): the client has finished
	streamLocal              // half-closed (local): we have finished
	streamClosed
)

// ID returns the stream's identifier.
func (s *Stream) ID() uint32 { return s.id }

// Closed reports whether nothing can be sent or received any more.
func (s *Stream) Closed() bool { return s.state == streamClosed }

// RequestDone reports whether the client has finished sending.
func (s *Stream) RequestDone() bool { return s.state == streamRemote || s.state == streamClosed }

// Window returns how much DATA the stream's own window lets us send; Conn.Window has the
// connection's.
func (s *Stream) Window() int { return max(int(s.sendWindow), 0) }

// streamList are the streams of a connection in the order of their identifiers.
type streamList []*Stream

// find returns the place of a stream in the list.
func (l streamList) find(id uint32) (int, bool) {
	if n := len(l); n > 0 && l[n-1].id == id {
		return n - 1, true
	}
	return slices.BinarySearchFunc(l, id, func(s *Stream, id uint32) int { return int(s.id) - int(id) })
}

// get returns a stream; nil if there is none of that identifier.
func (l streamList) get(id uint32) *Stream {
	if i, found := l.find(id); found {
		return l[i]
	}
	return nil
}

// Streams returns the connection's streams in the order in which they were opened. The
// slice changes when one is opened or released.
func (c *Conn) Streams() []*Stream { return c.streams }

// open adds a stream.
func (c *Conn) open(id uint32, endStream bool) *Stream {
	s := c.shared.newStream()
	s.id = id
	s.sendWindow = c.peerWindow
	s.granted = c.settings.StreamWindow
	s.recvWindow = s.granted
	if !c.acknowledged {
		s.recvWindow, s.early = defaultWindow, true
	}
	s.sendLeft, s.recvLeft = -1, -1
	if endStream {
		s.state = streamRemote
	}
	c.streams = append(c.streams, s)
	return s
}

// Release gives a stream back when the caller is done with it: its exchange with the
// server has ended, and nothing more will be sent. One that is not closed is reset with
// CANCEL, appended to dst. The stream must not be used again.
func (c *Conn) Release(dst []byte, s *Stream) []byte {
	if s.state != streamClosed {
		dst = c.AppendReset(dst, s, Cancel)
	}
	c.giveBack(s)
	if i, found := c.streams.find(s.id); found {
		c.streams = slices.Delete(c.streams, i, i+1)
		c.shared.putStream(s)
	}
	if len(c.streams) == 0 {
		c.rest()
	}
	return c.appendCredit(dst)
}

// giveBack returns to the connection's window what the stream holds of it.
func (c *Conn) giveBack(s *Stream) {
	c.window.owed += s.held
	s.held = 0
	c.window.shrink(s)
}

// close ends a stream both ways, and remembers how.
func (c *Conn) close(s *Stream, how closure) {
	if s.state == streamClosed {
		return
	}
	s.state = streamClosed
	c.giveBack(s)
	c.ended.add(s.id, how)
}
