package tlsio

import (
	"bytes"
	"crypto/tls"
	"encoding/gob"
	"io"
	"testing"

	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// move takes every connection off its loop, encodes what it is, and puts it on another
// loop, as an upgrade does.
func (b *fixture) move() (moved int) {
	b.Helper()
	type parcel struct {
		reactor.Detached
		state []byte
	}
	var all []parcel
	for _, loop := range b.engine.Loops() {
		loop.Do(func() {
			loop.SweepFrom(0, func(c *reactor.Conn) bool {
				e, ok := c.Handler().(*echo)
				if !ok || !c.Detachable() {
					return true
				}
				d := c.Detach()
				var out bytes.Buffer
				suspended := d.Transport.(*Suspended)
				if err := gob.NewEncoder(&out).Encode(suspended.State); err != nil {
					e.Error(err)
				}
				suspended.Forget()
				if suspended.State.Suite != 0 || suspended.layer.in != (direction{}) {
					e.Error("the secrets are not wiped")
				}
				all = append(all, parcel{d, out.Bytes()})
				return true
			})
		})
	}
	workers := NewWorkers(b.engine.Loops(), 1)
	for i, p := range all {
		state := &State{}
		if err := gob.NewDecoder(bytes.NewReader(p.state)).Decode(state); err != nil {
			b.Fatal(err)
		}
		suspended, err := workers.Restore(state)
		if err != nil {
			b.Fatal(err)
		}
		p.Transport = suspended
		loop := b.engine.Loops()[i%2]
		loop.Do(func() {
			if _, errno := loop.Attach(p.Detached, &echo{fixture: b, open: true}); errno != 0 {
				b.Error(errno)
			}
		})
	}
	return len(all)
}

// TestMoves moves connections again and again: keys that were changed before are in
// force, new ones are answered, and forgeries and replays are refused as ever.
func TestMoves(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	moves := func() {
		t.Helper()
		if n := b.move(); n != 1 {
			t.Errorf("%d connections have moved", n)
		}
	}
	a := b.attacker()
	a.say(t, "hello")
	for range 3 {
		request := a.seal(new(worker), nil, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, updateRequested})
		a.out.update()
		if _, err := a.Write(request); err != nil {
			t.Fatal(err)
		}
		if kind, _ := a.hear(t); kind != typeHandshake {
			t.Errorf("a record of type %d", kind)
		}
		a.say(t, "before")
		moves()
		a.say(t, "after")
		moves()
	}
	old := a.seal(new(worker), nil, typeApplication, []byte("once"))
	if _, err := a.Write(old); err != nil {
		t.Fatal(err)
	}
	a.hear(t)
	moves()
	if _, err := a.Write(old); err != nil {
		t.Fatal(err)
	}
	if got := b.recorded(&b.reads); got != unix.EPROTO {
		t.Errorf("after a replay the stream ended with %v", got)
	}
	a.Close()
}

// TestMovesRefuseFlips flips one bit of a record, anywhere, behind a move and a key
// update: the connection ends, and nothing of the record is read.
func TestMovesRefuseFlips(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	const size = headerSize + len("once") + 1 + tagSize
	for at := 1; at < size; at += 3 { // byte 0 is the type, and refused without being opened
		a := b.attacker()
		a.say(t, "hello")
		if n := b.move(); n != 1 {
			t.Errorf("%d connections have moved", n)
		}
		update := a.seal(new(worker), nil, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, updateNotRequested})
		a.out.update()
		if _, err := a.Write(update); err != nil {
			t.Fatal(err)
		}
		a.say(t, "with new keys")
		b.move()
		record := a.seal(new(worker), nil, typeApplication, []byte("once"))
		if len(record) != size {
			t.Fatalf("the record has %d bytes, want %d", len(record), size)
		}
		record[at] ^= 0x10
		if at == 3 || at == 4 { // the length: more has to come
			record = append(record, make([]byte, 1<<14)...)
		}
		if _, err := a.Write(record); err != nil {
			t.Fatal(err)
		}
		if got := b.recorded(&b.reads); got != unix.EPROTO {
			t.Errorf("with a bit of byte %d flipped the stream ended with %v", at, got)
		}
		a.Close()
	}
}

// TestMovesWithin moves a connection within a record, and with bytes that were
// decrypted and not read: nothing is lost, nothing comes twice.
func TestMovesWithin(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	b.most.Store(7) // bytes per read: most of a record is left
	a := b.attacker()
	a.say(t, "hello")
	record := a.seal(new(worker), nil, typeApplication, bytes.Repeat([]byte("abc"), 1000))
	var got []byte
	for at := 0; at < len(record); at += 1000 {
		if _, err := a.Write(record[at:min(at+1000, len(record))]); err != nil {
			t.Fatal(err)
		}
		b.move()
	}
	for len(got) < 3000 {
		_, content := a.hear(t)
		got = append(got, content...)
	}
	if !bytes.Equal(got, bytes.Repeat([]byte("abc"), 1000)) {
		t.Errorf("%d bytes came back, or others", len(got))
	}
	a.Close()
}

// TestMovesResumed moves a connection whose session was resumed, and resumes one that
// moved.
func TestMovesResumed(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	client := b.client()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for i := range 3 {
		conn, _ := b.dial(client)
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		b.eventually("it moves", func() bool { return b.move() == 1 })
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		checkEcho(t, conn, 100_000)
		if resumed := conn.ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d: resumed %v", i, resumed)
		}
	}
}

// TestRestoreRefuses has states of a faulty process.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	good := func() *State {
		secret := bytes.Repeat([]byte{7}, 32)
		return &State{Suite: tls.TLS_AES_128_GCM_SHA256, In: Traffic{secret, 3}, Out: Traffic{secret, 4}}
	}
	for name, spoil := range map[string]func(*State){
		"good":             func(*State) {},
		"no suite":         func(s *State) { s.Suite = 0 },
		"another suite":    func(s *State) { s.Suite = tls.TLS_AES_256_GCM_SHA384 },
		"no secret":        func(s *State) { s.In.Secret = nil },
		"too many bytes":   func(s *State) { s.Unread = make([]byte, mostUnread+1) },
		"too much content": func(s *State) { s.Plain = make([]byte, mostPlain+1) },
		"half a message":   func(s *State) { s.Messages.Have = 200 },
	} {
		s := good()
		spoil(s)
		if _, err := NewWorkers(nil, 1).Restore(s); (err == nil) != (name == "good") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
