package l4

import (
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// end notes that the half's source has finished sending. One that no longer
// takes anything either was broken before it could be read.
func (r *Relay) end(h *Half, from *reactor.Conn) {
	if r.into(from).Flags&lost != 0 {
		r.broken(from)
		return
	}
	h.Flags |= ended
	r.Last = r.client.Loop().Now()
	r.arm() // a half-closed connection has a shorter time
}

// finish tells the destination that nothing more will come, and ends the
// relay when that holds for both.
func (r *Relay) finish(h *Half, to *reactor.Conn) {
	if h.Flags&shut == 0 {
		if (r.Up.Flags|r.Down.Flags)&shut == 0 {
			h.Flags |= first
		}
		h.Flags |= shut
		to.CloseWrite()
	}
	if r.Up.Flags&r.Down.Flags&shut == 0 || r.client.Parked()+r.server.Parked() > 0 {
		return // what a transport says last may wait to be written
	}
	reason := session.ServerClosed
	if r.Up.Flags&first != 0 {
		reason = session.ClientClosed
	}
	r.close(reason)
}

// broken ends the relay because c is broken: the other side sees RST, so that
// it cannot take what it got for the whole.
func (r *Relay) broken(c *reactor.Conn) {
	if c == r.client {
		r.server.Reset()
		r.close(session.ClientReset)
		return
	}
	r.client.Reset()
	r.close(session.ServerReset)
}

// Abort ends the relay for a reason of the balancer's own: both sides can see
// that it was cut off.
func (r *Relay) Abort(reason session.Reason) {
	r.cut(r.client)
	r.cut(r.server)
	r.close(reason)
}

// cut closes c so that its peer cannot take what it got for the whole: with RST,
// but where the owner sees messages, whose ends the peer knows as well, by FIN,
// which always arrives. One that was sent already is let arrive, and RST is for a
// peer that has it.
func (r *Relay) cut(c *reactor.Conn) {
	finSent := r.into(c).Flags&shut != 0
	if finSent && c.FinUnacked() || !finSent && r.Up.Flags&inspected != 0 {
		c.Cut()
	} else {
		c.Reset()
	}
}

// close ends the relay; what is not reset is closed.
func (r *Relay) close(reason session.Reason) {
	r.detach()
	r.client.Close()
	r.server.Close()
	r.Owner.RelayEnded(reason)
}

// detach ends the relay and leaves both connections to the owner.
func (r *Relay) detach() {
	r.over = true
	r.client.Loop().Disarm(r.Timer)
	r.unpipe(&r.Up)
	r.unpipe(&r.Down)
}
