package l7

import (
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// downstream is what carries a client's requests and their answers, in the form of
// HTTP/1.1: a connection (reactor.Conn has the meaning of each method), or one stream of
// HTTP/2, which is translated. An exchange does not know which.
//
// A stream is a downstream of one request. It differs in this: the end of what the client
// sends shows in the body's framing alone, so that HungUp says only that the client is
// gone; and CloseWrite, behind a complete answer, is its end.
type downstream interface {
	Readable() bool
	Read(p []byte) (n int, errno unix.Errno)
	Yield()
	HungUp() bool
	Failed() bool
	Blocked() bool
	Parked() int
	Send(p []byte) unix.Errno
	CloseWrite()
	Cut()
	Reset()
	Close()
}

var _ downstream = (*reactor.Conn)(nil)

// down is what carries the client's requests.
func (c *client) down() downstream {
	return c.Conn
}
