package l4

import (
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// end notes that the half's source has finished sending. If the source no longer
// accepts anything either, it was broken before it could be read.
func (r *Relay) end(h *Half, from *reactor.Conn) {
	if r.into(from).Flags&lost != 0 {
		r.broken(from)
		return
	}
	h.Flags |= ended
	r.Last = r.client.Loop().Now()
	r.arm() // a half-closed connection has a shorter time
}

// finish sends FIN to the destination, and ends the relay when both have it.
func (r *Relay) finish(h *Half, to *reactor.Conn) {
	if h.Flags&shut == 0 {
		if (r.Up.Flags|r.Down.Flags)&shut == 0 {
			h.Flags |= first
		}
		h.Flags |= shut
		// At the very end close sends it: nothing is unread, since to has ended, too.
		if !r.finished() || to.HasTransport() {
			to.CloseWrite()
		}
	}
	if !r.finished() {
		return // the last record of a transport may wait to be written
	}
	reason := session.ServerClosed
	if r.Up.Flags&first != 0 {
		reason = session.ClientClosed
	}
	r.close(reason)
}

// finished reports whether both sides have finished sending, and nothing waits for them.
func (r *Relay) finished() bool {
	return r.Up.Flags&r.Down.Flags&shut != 0 && r.client.Parked()+r.server.Parked() == 0
}

// broken ends the relay because c is broken: the other side sees RST, so that
// it cannot take the cut stream for a complete one.
func (r *Relay) broken(c *reactor.Conn) {
	if c == r.client {
		r.server.Reset()
		r.close(session.ClientReset)
		return
	}
	r.client.Reset()
	r.close(session.ServerReset)
}

// Abort ends the relay for a reason of the balancer: both sides can see that the
// stream was cut.
func (r *Relay) Abort(reason session.Reason) {
	r.cut(r.client)
	r.cut(r.server)
	r.close(reason)
}

// cut closes c so that its peer cannot take the cut stream for a complete one: with
// RST or, where the owner sees messages, whose ends the peer sees as well, with FIN,
// which always arrives. A FIN that is on its way is left to arrive; a peer that has
// it gets RST.
func (r *Relay) cut(c *reactor.Conn) {
	finSent := r.into(c).Flags&shut != 0
	if finSent && c.FinUnacked() || !finSent && r.Up.Flags&inspected != 0 {
		c.Cut()
	} else {
		c.Reset()
	}
}

// close ends the relay, and closes the connections that were not reset.
func (r *Relay) close(reason session.Reason) {
	r.detach()
	r.client.Close()
	r.server.Close()
	r.Owner.RelayEnded(reason)
}

// detach ends the relay and leaves both connections open, for the owner.
func (r *Relay) detach() {
	r.over = true
	r.client.Loop().Disarm(r.Timer)
	r.unpipe(&r.Up)
	r.unpipe(&r.Down)
	r.client.Loop().Drop(&r.held)
}
