package tlsio

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// pair returns two layers that are each other's peer.
func pair(t testing.TB, s *suite) (a, b *layer) {
	t.Helper()
	a, b = &layer{}, &layer{}
	one, two := bytes.Repeat([]byte{1}, s.secret), bytes.Repeat([]byte{2}, s.secret)
	if err := errors.Join(a.in.set(s, one, 0), a.out.set(s, two, 0), b.in.set(s, two, 0), b.out.set(s, one, 0)); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// eachSuite runs a test for every cipher suite.
func eachSuite(t *testing.T, test func(*testing.T, *suite)) {
	for i := range layerSuites {
		t.Run(tls.CipherSuiteName(layerSuites[i].id), func(t *testing.T) { test(t, &layerSuites[i]) })
	}
}

// opened opens a record, as a fresh reader of its state would.
func opened(l layer, record []byte) (kind byte, content []byte, refused alert) {
	return l.open(new(worker), record, make([]byte, 0, len(record)))
}

// TestLayerKnownAnswer opens a record that RFC 8448 section 3 shows (its "client"
// sends 50 bytes of application data).
func TestLayerKnownAnswer(t *testing.T) {
	t.Parallel()
	l := &layer{}
	secret := unhex([]byte("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"))
	if err := l.out.set(suiteOf(tls.TLS_AES_128_GCM_SHA256), secret, 0); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 50)
	for i := range content {
		content[i] = byte(i)
	}
	want := unhex([]byte("1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"))
	if got := l.seal(new(worker), nil, typeApplication, content); !bytes.Equal(got, want) {
		t.Errorf("sealed as\n%x, want\n%x", got, want)
	}
}

// A record that differs in any bit from what was sent, is cut at any place, comes once
// more, or under another number or key, is refused: otherwise whoever is on the way
// could change or repeat what a client says.
func TestLayerRefusesForgeries(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, s *suite) {
		reader, writer := pair(t, s)
		record := writer.seal(new(worker), nil, typeApplication, []byte("transfer 100"))
		check := func(what string, l *layer, p []byte) {
			t.Helper()
			size, refused := frame(p)
			if refused != 0 || size != len(p) {
				return // another type or length: refused, or waits for more
			}
			if _, content, refused := opened(*l, p); refused != badRecordMAC {
				t.Fatalf("%s: %q, alert %d", what, content, refused)
			}
		}
		for bit := range len(record) * 8 {
			forged := bytes.Clone(record)
			forged[bit/8] ^= 1 << (bit % 8)
			check(fmt.Sprintf("bit %d flipped", bit), reader, forged)
		}
		for n := range len(record) - headerSize {
			cut := bytes.Clone(record[:headerSize+n])
			cut[3], cut[4] = byte(n>>8), byte(n)
			check(fmt.Sprintf("cut to %d bytes", n), reader, cut)
		}
		other := *reader
		other.in.seq++
		check("under another number", &other, record)
		other = *reader
		other.in.update()
		check("under the next key", &other, record)
		if _, content, refused := reader.open(new(worker), record, make([]byte, 0, 100)); refused != 0 || string(content) != "transfer 100" {
			t.Fatalf("the true record: %q, alert %d", content, refused)
		}
		check("a replay", reader, record)
	})
}

// crafted is a record of a peer that keeps no rules: the inner plaintext is as given.
func crafted(l *layer, inner []byte) []byte {
	size := len(inner) + tagSize
	header := []byte{typeApplication, 3, 3, byte(size >> 8), byte(size)}
	return append(header, l.out.cipher().Seal(nil, l.out.nonce(&new(worker).nonce), inner, header)...)
}

// TestLayerLimits checks the sizes of RFC 8446 sections 5.1, 5.2 and 5.4.
func TestLayerLimits(t *testing.T) {
	t.Parallel()
	full := append(make([]byte, maxPlaintext), typeApplication)
	for name, c := range map[string]struct {
		inner []byte
		kind  byte
		size  int
		want  alert
	}{
		"the largest":                {full, typeApplication, maxPlaintext, 0},
		"one too large":              {append([]byte{1}, full...), 0, 0, recordOverflow},
		"padding beyond the largest": {append(bytes.Clone(full), 0), 0, 0, recordOverflow},
		"padding":                    {append([]byte{'x', typeApplication}, make([]byte, 1000)...), typeApplication, 1, 0},
		"no content but padding":     {append([]byte{typeApplication}, make([]byte, 1000)...), typeApplication, 0, 0},
		"padding alone":              {make([]byte, 1000), 0, 0, unexpectedMessage},
		"nothing":                    {nil, 0, 0, unexpectedMessage},
	} {
		reader, writer := pair(t, &layerSuites[0])
		kind, content, refused := opened(*reader, crafted(writer, c.inner))
		if kind != c.kind || len(content) != c.size || refused != c.want {
			t.Errorf("%s: type %d, %d bytes, alert %d", name, kind, len(content), refused)
		}
	}
	for name, c := range map[string]struct {
		record []byte
		want   alert
	}{
		"oversize":           {[]byte{typeApplication, 3, 3, 0x41, 1}, recordOverflow},
		"change_cipher_spec": {[]byte{20, 3, 3, 0, 1, 1}, unexpectedMessage},
		"an alert in clear":  {[]byte{typeAlert, 3, 3, 0, 2, 2, 0}, unexpectedMessage},
	} {
		if _, refused := frame(c.record); refused != c.want {
			t.Errorf("%s: alert %d, want %d", name, refused, c.want)
		}
	}
	reader, _ := pair(t, &layerSuites[0])
	if _, _, refused := opened(*reader, []byte{typeApplication, 3, 3, 0, 0}); refused != badRecordMAC {
		t.Errorf("a record without a body: alert %d", refused)
	}
}

// TestLayerControl checks what may come beside content: RFC 8446 sections 4.6, 5.1, 6.
func TestLayerControl(t *testing.T) {
	t.Parallel()
	const client, server = false, true
	update := []byte{messageKeyUpdate, 0, 0, 1, 0}
	ticket := []byte{messageNewSessionTicket, 0, 0, 3, 1, 2, 3}
	type record struct {
		kind    byte
		content []byte
	}
	for name, c := range map[string]struct {
		fromServer bool
		records    []record
		want       alert
		ends       bool
	}{
		"KeyUpdate":                     {client, []record{{typeHandshake, update}}, 0, false},
		"KeyUpdate in pieces":           {client, []record{{typeHandshake, update[:1]}, {typeHandshake, update[1:3]}, {typeHandshake, update[3:]}}, 0, false},
		"KeyUpdate not at the end":      {client, []record{{typeHandshake, append(bytes.Clone(update), messageKeyUpdate)}}, unexpectedMessage, false},
		"two KeyUpdates in one":         {client, []record{{typeHandshake, append(bytes.Clone(update), update...)}}, unexpectedMessage, false},
		"KeyUpdate of another value":    {client, []record{{typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, 2}}}, illegalParameter, false},
		"KeyUpdate of another length":   {client, []record{{typeHandshake, []byte{messageKeyUpdate, 0, 0, 2, 0, 0}}}, decodeError, false},
		"an empty KeyUpdate":            {client, []record{{typeHandshake, []byte{messageKeyUpdate, 0, 0, 0}}}, decodeError, false},
		"content within a message":      {client, []record{{typeHandshake, update[:2]}, {typeApplication, nil}}, unexpectedMessage, false},
		"an alert within a message":     {client, []record{{typeHandshake, update[:2]}, {typeAlert, []byte{1, 0}}}, unexpectedMessage, false},
		"an empty handshake record":     {client, []record{{typeHandshake, nil}}, unexpectedMessage, false},
		"a ticket":                      {server, []record{{typeHandshake, ticket}}, 0, false},
		"two tickets, coalesced":        {server, []record{{typeHandshake, append(bytes.Clone(ticket), ticket...)}}, 0, false},
		"a ticket, then KeyUpdate":      {server, []record{{typeHandshake, append(bytes.Clone(ticket), update...)}}, 0, false},
		"a ticket of a client":          {client, []record{{typeHandshake, ticket}}, unexpectedMessage, false},
		"a huge ticket":                 {server, []record{{typeHandshake, []byte{messageNewSessionTicket, 1, 0, 1}}}, decodeError, false},
		"a request for a certificate":   {server, []record{{typeHandshake, []byte{13, 0, 0, 1, 0}}}, unexpectedMessage, false},
		"a certificate":                 {client, []record{{typeHandshake, []byte{11, 0, 0, 1, 0}}}, unexpectedMessage, false},
		"a ClientHello":                 {client, []record{{typeHandshake, []byte{1, 0, 0, 1, 0}}}, unexpectedMessage, false},
		"a HelloRequest":                {server, []record{{typeHandshake, []byte{0, 0, 0, 0}}}, unexpectedMessage, false},
		"an unknown type":               {client, []record{{24, []byte{1}}}, unexpectedMessage, false},
		"close_notify":                  {client, []record{{typeAlert, []byte{1, 0}}}, 0, true},
		"user_canceled":                 {client, []record{{typeAlert, []byte{1, 90}}}, 0, false},
		"a fatal alert":                 {client, []record{{typeAlert, []byte{2, 40}}}, 0, true},
		"an alert of level warning":     {client, []record{{typeAlert, []byte{1, 40}}}, 0, true},
		"half an alert":                 {client, []record{{typeAlert, []byte{1}}}, decodeError, false},
		"two alerts":                    {client, []record{{typeAlert, []byte{1, 0, 1, 0}}}, decodeError, false},
		"empty records":                 {client, slicesOf(record{typeApplication, nil}, mostUseless), 0, false},
		"too many empty records":        {client, slicesOf(record{typeApplication, nil}, mostUseless+1), unexpectedMessage, false},
		"too many KeyUpdates":           {client, slicesOf(record{typeHandshake, update}, mostUseless+1), unexpectedMessage, false},
		"too many user_canceled alerts": {client, slicesOf(record{typeAlert, []byte{1, 90}}, mostUseless+1), unexpectedMessage, false},
	} {
		l, _ := pair(t, &layerSuites[0])
		var refused alert
		var ended error
		for i, r := range c.records {
			if refused, ended = l.take(r.kind, r.content, c.fromServer); refused != 0 && i < len(c.records)-1 {
				t.Errorf("%s: record %d: alert %d", name, i, refused)
				break
			}
		}
		if refused != c.want || (ended != nil) != c.ends {
			t.Errorf("%s: alert %d, want %d; %v", name, refused, c.want, ended)
		}
	}
}

func slicesOf[T any](one T, n int) (all []T) {
	for range n {
		all = append(all, one)
	}
	return all
}

// TestLayerSpentKeys has a key that has protected as many records as it may (RFC 8446
// section 5.5): new ones follow by themselves, and the peer is asked for its own.
func TestLayerSpentKeys(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, s *suite) {
		a, b := pair(t, s)
		a.out.seq, b.in.seq = mostRecords-1, mostRecords-1
		out := a.write(new(worker), nil, bytes.Repeat([]byte("x"), maxPlaintext+1)) // the last record, and one more
		var got []byte
		for len(out) > 0 {
			size, _ := frame(out)
			kind, content, refused := b.open(new(worker), out[:size], make([]byte, 0, maxCiphertext))
			if refused != 0 {
				t.Fatalf("alert %d", refused)
			}
			if kind == typeApplication {
				got = append(got, content...)
			} else if refused, _ := b.take(kind, content, false); refused != 0 {
				t.Fatalf("alert %d", refused)
			}
			out = out[size:]
		}
		if len(got) != maxPlaintext+1 || a.out.seq != 1 || b.in.seq != 1 {
			t.Errorf("%d bytes arrive, the numbers are %d and %d", len(got), a.out.seq, b.in.seq)
		}
		b.in.seq = mostRecords
		if !b.replies() {
			t.Fatal("the peer is not asked for new keys")
		}
		ask := b.updateKeys(new(worker), nil)
		if b.replies() {
			t.Error("the peer is asked again and again")
		}
		kind, content, _ := a.open(new(worker), ask, make([]byte, 0, 100))
		if refused, _ := a.take(kind, content, false); refused != 0 || !a.owes {
			t.Errorf("alert %d, the peer owes new keys: %v", refused, a.owes)
		}
	})
}

// TestSecretsStayHere checks that nothing of a connection's state is printed.
func TestSecretsStayHere(t *testing.T) {
	t.Parallel()
	s := &State{In: Traffic{Secret: []byte("hidden")}, Plain: []byte("hidden")}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %q %x", s, s, s, s), fmt.Sprintf("%+v %s", s.In, s.In.Secret[:0])} {
		if strings.Contains(text, "hidden") || strings.Contains(text, "68696464656e") {
			t.Errorf("printed: %s", text)
		}
	}
	secret, plain := s.In.Secret, s.Plain
	s.Wipe()
	if !bytes.Equal(secret, make([]byte, 6)) || !bytes.Equal(plain, make([]byte, 6)) {
		t.Error("it is not wiped")
	}
}

// FuzzLayer gives a layer records of a peer that keeps no rules, in which anything may
// stand, and bytes that are no records: it refuses or takes them, and never reads what
// the peer did not send.
func FuzzLayer(f *testing.F) {
	f.Add([]byte{messageKeyUpdate, 0, 0, 1, 1, typeHandshake}, uint8(0), false)
	f.Add([]byte{messageNewSessionTicket, 0, 0, 2, 1, 1, typeHandshake, 0, 0}, uint8(3), true)
	f.Add([]byte{1, 0, typeAlert}, uint8(1), true)
	f.Add([]byte("hello\x17\x00"), uint8(2), false)
	f.Fuzz(func(t *testing.T, inner []byte, piece uint8, fromServer bool) {
		reader, writer := pair(t, &layerSuites[int(piece)%len(layerSuites)])
		size := int(piece)%7 + 1
		for len(inner) > 0 {
			n := min(size, len(inner))
			record := crafted(writer, inner[:n])
			kind, content, refused := reader.open(new(worker), record, make([]byte, 0, len(record)))
			if refused != 0 {
				return
			}
			if !bytes.HasPrefix(inner, content) {
				t.Fatalf("%q of %q", content, inner)
			}
			inner = inner[n:]
			if kind == typeApplication && len(content) > 0 {
				refused = reader.content()
			} else {
				var ended error
				refused, ended = reader.take(kind, content, fromServer)
				if ended != nil {
					return
				}
			}
			if refused != 0 {
				return
			}
			if !reader.messages.valid() && reader.messages.partial() {
				t.Fatalf("a state that is not valid: %+v", reader.messages)
			}
			if reader.in.seq == 0 {
				writer.out.update()
			}
		}
	})
}

// FuzzFrame gives the layer bytes instead of records: none of them is accepted.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{typeApplication, 3, 3, 0, 17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17})
	f.Add([]byte{22, 3, 1, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		reader, _ := pair(t, &layerSuites[0])
		size, refused := frame(p)
		if size == 0 || refused != 0 {
			return
		}
		if _, content, refused := opened(*reader, p[:size]); refused == 0 {
			t.Fatalf("%x is accepted as %q", p[:size], content)
		}
	})
}

// TestLayerEcho moves streams both ways under every suite, against crypto/tls, with
// records in any pieces.
func TestLayerEcho(t *testing.T) {
	t.Parallel()
	for _, s := range layerSuites {
		t.Run(tls.CipherSuiteName(s.id), func(t *testing.T) {
			t.Parallel()
			b := begin(t, reactor.Kernel(), usual(t))
			arguments := []string{"-tls1_3", "-ciphersuites", tls.CipherSuiteName(s.id)}
			input, output, wait := b.openssl(arguments...)
			random := rand.New(rand.NewPCG(5, uint64(s.id)))
			for i := range 20 {
				line := fmt.Sprintf("%d %s\n", i, strings.Repeat("y", random.IntN(40_000)))
				b.say(input, line)
				b.eventually("the line comes back", func() bool { return strings.Contains(output.String(), line) })
			}
			input.Close()
			wait()
		})
	}
}

// bytewise reads nothing ahead.
type bytewise struct{ net.Conn }

func (c bytewise) Read(p []byte) (int, error) { return c.Conn.Read(p[:1]) }

// attacker is a client that has the keys, and keeps no rules.
type attacker struct {
	*layer
	net.Conn
}

// attacker makes a handshake.
func (b *fixture) attacker() *attacker {
	b.Helper()
	var s secrets
	raw := b.dialRaw()
	conn := tls.Client(bytewise{raw}, s.reportTo(b.client()))
	if err := conn.Handshake(); err != nil {
		b.Fatal(err)
	}
	state := conn.ConnectionState()
	return &attacker{newLayer(&state, &s, true, nil), raw}
}

// say sends content, and hears it come back.
func (a *attacker) say(t testing.TB, content string) {
	t.Helper()
	if _, err := a.Write(a.seal(new(worker), nil, typeApplication, []byte(content))); err != nil {
		t.Fatal(err)
	}
	for {
		if kind, got := a.hear(t); kind == typeApplication {
			if string(got) != content {
				t.Errorf("%q comes back as %q", content, got)
			}
			return
		}
	}
}

// hear reads a record.
func (a *attacker) hear(t testing.TB) (kind byte, content []byte) {
	t.Helper()
	record := make([]byte, headerSize)
	if _, err := io.ReadFull(a.Conn, record); err != nil {
		t.Fatal(err)
	}
	record = append(record, make([]byte, int(record[3])<<8|int(record[4]))...)
	if _, err := io.ReadFull(a.Conn, record[headerSize:]); err != nil {
		t.Fatal(err)
	}
	kind, content, refused := a.open(new(worker), record, make([]byte, 0, len(record)))
	if refused != 0 {
		t.Fatalf("what the balancer sent is refused: %d", refused)
	}
	if refused, _ := a.take(kind, content, true); kind != typeAlert && (kind != typeApplication || len(content) == 0) && refused != 0 {
		t.Fatalf("what the balancer sent is refused: %d", refused)
	}
	return kind, content
}

// TestAttacks has clients that send what they must not: the handler gets an error, and
// they get an alert, or RST.
func TestAttacks(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	for name, attack := range map[string]func(a *attacker) []byte{
		"a flipped bit": func(a *attacker) []byte {
			record := a.seal(new(worker), nil, typeApplication, []byte("x"))
			record[len(record)-1] ^= 1
			return record
		},
		"a replay": func(a *attacker) []byte {
			record := a.seal(new(worker), nil, typeApplication, []byte("x"))
			return append(record, record...)
		},
		"a record that is left out": func(a *attacker) []byte {
			a.seal(new(worker), nil, typeApplication, []byte("x"))
			return a.seal(new(worker), nil, typeApplication, []byte("y"))
		},
		"empty records without end": func(a *attacker) (all []byte) {
			for range 2 * mostUseless {
				all = a.seal(new(worker), all, typeApplication, nil)
			}
			return all
		},
		"new keys without end": func(a *attacker) (all []byte) {
			for range 2 * mostUseless {
				all = a.seal(new(worker), all, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, updateRequested})
				a.out.update()
			}
			return all
		},
		"a record in the clear": func(*attacker) []byte { return []byte{typeAlert, 3, 3, 0, 2, 1, 0} },
	} {
		t.Run(name, func(t *testing.T) {
			a := b.attacker()
			a.say(t, "hello")
			if _, err := a.Write(attack(a)); err != nil {
				t.Fatal(err)
			}
			// (EPIPE: what came before could not be sent back any more.)
			if got := b.recorded(&b.reads); got != unix.EPROTO && got != unix.EPIPE {
				t.Errorf("the stream ended with %v", got)
			}
			a.Close()
		})
	}
}

// TestKeyUpdateAnswered has a client that asks for new keys, and says nothing: it gets
// them at once. One that takes nothing gets them with the next content.
func TestKeyUpdateAnswered(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	a := b.attacker()
	a.say(t, "hello")
	for range 5 {
		request := a.seal(new(worker), nil, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, updateRequested})
		a.out.update()
		if _, err := a.Write(request); err != nil {
			t.Fatal(err)
		}
		before := a.in.secret
		if kind, _ := a.hear(t); kind != typeHandshake || a.in.secret == before {
			t.Errorf("a record of type %d, new keys: %v", kind, a.in.secret != before)
		}
	}
	a.say(t, "still here")
	a.Close()
}

// Alerts are what crypto/tls calls them.
func TestAlertErrors(t *testing.T) {
	t.Parallel()
	var remote *net.OpError
	if err := alert(116).remote(); !errors.As(err, &remote) || remote.Op != "remote error" || remote.Err.Error() != "tls: certificate required" {
		t.Errorf("%v", err)
	}
}
