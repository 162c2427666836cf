// Package reactor is the event engine under both layers: mechanism only.
//
// One Loop per CPU, each an edge-triggered epoll instance (epoll(7)) driven by
// one goroutine locked to its thread, owns its connections and needs no lock
// for them. It provides non-blocking connections with bounded parking of what
// the peer does not take (Conn), accept with backing off (Listener), splice(2)
// through pipes borrowed from a bounded pool (Pipe), deadlines that cost
// nothing per message (Timer), and a mailbox for other goroutines (Loop.Post).
//
// It is used so: Start an Engine, and Listen with an AcceptHandler. Its Accepted
// runs on the loop that is to carry the client, and gives the socket to
// Loop.Adopt with a Handler, whose Ready is called from then on; Loop.Dial
// connects onward, on the same loop. Whoever is not on the loop uses Loop.Post.
//
// It guarantees that a handler is only ever called on its loop's goroutine,
// at most once in a turn, that an event for a closed connection reaches nobody,
// that a connection that broke never looks as if it had ended, that one at
// rest holds no buffer and no pipe, and that the path of a message allocates
// nothing. It knows no protocol and no backend, logs nothing, and runs on
// Linux only.
package reactor
