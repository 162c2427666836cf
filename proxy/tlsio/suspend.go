package tlsio

import (
	"errors"
	"fmt"

	"mcplb/proxy/reactor"
)

// State is what another process needs of a Transport: it is as secret as what the
// connection carries. It is fit for encoding. Wipe it when it is not needed any more.
type State struct {
	Suite           uint16 // of TLS 1.3
	In, Out         Traffic
	Messages        messages
	Unread          []byte // read from the socket, not decrypted
	Plain           []byte // decrypted, not read
	Useless         uint8
	Asked           bool
	Owes            bool
	Ended           bool // the peer has sent close_notify
	CloseNotifySent bool
	FromServer      bool // the peer is a server
}

// Traffic is one direction of a connection: its present traffic secret, and the number
// of its next record.
type Traffic struct {
	Secret   []byte
	Sequence uint64
}

// Format implements fmt.Formatter: secrets appear in no log.
func (s *State) Format(f fmt.State, _ rune) { fmt.Fprint(f, "the state of TLS") }

// Format implements fmt.Formatter, likewise.
func (Traffic) Format(f fmt.State, _ rune) { fmt.Fprint(f, "a traffic secret") }

// Wipe forgets the secrets, and what was decrypted. s may be nil.
func (s *State) Wipe() {
	if s == nil {
		return
	}
	clear(s.In.Secret)
	clear(s.Out.Secret)
	clear(s.Plain)
	*s = State{}
}

// Pending is how many bytes of the stream s holds; s may be nil.
func (s *State) Pending() int {
	if s == nil {
		return 0
	}
	return len(s.Unread) + len(s.Plain)
}

// The most that a State holds, with room: more is not of this package.
const (
	mostUnread = 2 * reactor.ReadSize
	mostPlain  = maxPlaintext
)

var errState = errors.New("the state of a TLS connection contradicts itself")

// layer returns the layer that continues.
func (s *State) layer() (*layer, error) {
	l := &layer{messages: s.Messages, useless: s.Useless, asked: s.Asked, owes: s.Owes}
	suite := suiteOf(s.Suite)
	if err := errors.Join(l.in.set(suite, s.In.Secret, s.In.Sequence), l.out.set(suite, s.Out.Secret, s.Out.Sequence)); err != nil {
		return nil, err
	}
	if len(s.Unread) > mostUnread || len(s.Plain) > mostPlain || !s.Messages.valid() {
		return nil, errState
	}
	return l, nil
}

// Suspended is a Transport without a connection: between two loops, or on its way to
// another process. It implements reactor.Suspended.
type Suspended struct {
	State   *State
	workers *Workers
	layer   *layer
}

// Restore returns the transport of a connection from another process, which continues on
// one of the workers' loops. The state is the Suspended's from then on. An error says
// that the other process is faulty.
func (ws *Workers) Restore(s *State) (*Suspended, error) {
	l, err := s.layer()
	if err != nil {
		return nil, err
	}
	return &Suspended{s, ws, l}, nil
}

// Resume implements reactor.Suspended. It wipes the State.
func (s *Suspended) Resume(c *reactor.Conn) (readable bool) {
	t := &Transport{conn: c, worker: s.workers.of(c.Loop()), layer: s.layer, state: open, strict: s.State.FromServer, closeNotifySent: s.State.CloseNotifySent}
	if s.State.Ended {
		t.state = ended
	}
	t.worker.loop.Append(&t.unread, s.State.Unread)
	t.worker.loop.Append(&t.plain, s.State.Plain)
	c.SetTransport(t)
	s.State.Wipe()
	return t.state == ended || t.holds()
}

// Forget implements reactor.Suspended: it wipes the secrets.
func (s *Suspended) Forget() {
	s.State.Wipe()
	s.layer.wipe()
}

// Detachable implements reactor.Transport: an open connection of TLS 1.3 can move.
func (t *Transport) Detachable() bool {
	return t.layer != nil && (t.state == open || t.state == ended)
}

// Detach implements reactor.Transport. What it returns is a *Suspended.
func (t *Transport) Detach() reactor.Suspended {
	l := t.layer
	s := &State{
		Suite: l.in.of().id, In: l.in.traffic(), Out: l.out.traffic(), Messages: l.messages,
		Unread: append([]byte(nil), t.unread.Bytes()...), Plain: append([]byte(nil), t.plain.Bytes()...),
		Useless: l.useless, Asked: l.asked, Owes: l.owes,
		Ended: t.state == ended, CloseNotifySent: t.closeNotifySent, FromServer: t.strict,
	}
	workers := t.worker.workers
	t.drop()
	return &Suspended{s, workers, l}
}

// traffic copies the secret for another process.
func (d *direction) traffic() Traffic {
	return Traffic{append([]byte(nil), d.present()...), d.seq}
}
