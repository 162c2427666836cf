package clienthello_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mcplb/internal/leak"
	"mcplb/proxy/clienthello"
)

func TestMain(m *testing.M) { leak.Main(m) }

// recorder is a connection that keeps what is written, and has nothing to read.
type recorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error)     { return r.sent.Write(p) }
func (r *recorder) Read([]byte) (int, error)        { return 0, io.EOF }
func (r *recorder) SetDeadline(time.Time) error     { return nil }
func (r *recorder) SetReadDeadline(time.Time) error { return nil }
func (r *recorder) Close() error                    { return nil }

// hello returns what crypto/tls sends first to a server.
func hello(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	c.InsecureSkipVerify = c.ServerName == ""
	r := &recorder{}
	if err := tls.Client(r, c).Handshake(); err == nil {
		t.Fatal("a handshake with nobody succeeds")
	}
	return r.sent.Bytes()
}

// oneRecord writes a handshake message as one record.
func oneRecord(message []byte) []byte {
	return append([]byte{22, 3, 1, byte(len(message) >> 8), byte(len(message))}, message...)
}

// inRecords writes a handshake message as records of n bytes each.
func inRecords(message []byte, n int) (p []byte) {
	for len(message) > 0 {
		part := message[:min(n, len(message))]
		message = message[len(part):]
		p = append(p, oneRecord(part)...)
	}
	return p
}

// extension and vector write a field with its length.
func extension(kind uint16, content []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, kind), vector(content)...)
}

func vector(content []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(content))), content...)
}

// names writes a server_name extension with one name of each type.
func names(types ...any) []byte {
	var list []byte
	for i := 0; i < len(types); i += 2 {
		list = append(append(list, byte(types[i].(int))), vector([]byte(types[i+1].(string)))...)
	}
	return extension(0, vector(list))
}

// message writes a ClientHello with the extensions; nil = it has no place for any.
func message(extensions []byte) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0)                // session id
	body = append(body, 0, 2, 0x13, 0x01) // cipher suites
	body = append(body, 1, 0)             // compression methods
	if extensions != nil {
		body = append(body, vector(extensions)...)
	}
	return append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// parse calls Parse with a copy.
func parse(p []byte) (string, clienthello.Status) {
	name, status := clienthello.Parse(bytes.Clone(p))
	return string(name), status
}

// If a name is not found, the client reaches the servers of another name.
func TestNameIsFound(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]*tls.Config{
		"post-quantum": {ServerName: "a.example.com"},
		"TLS 1.2":      {ServerName: "a.example.com", MaxVersion: tls.VersionTLS12},
		"ALPN":         {ServerName: "a.example.com", NextProtos: []string{"h2", "http/1.1"}},
		"no name":      {},
		"an address":   {ServerName: "192.0.2.1", InsecureSkipVerify: true},
	} {
		p := hello(t, c)
		want := ""
		if strings.Contains(c.ServerName, "example") {
			want = c.ServerName
		}
		if name, status := parse(p); name != want || status != clienthello.Complete {
			t.Errorf("%s: %q, %v, want %q", what, name, status, want)
		}
		for n := range p {
			if _, status := parse(p[:n]); status != clienthello.Incomplete {
				t.Fatalf("%s: the first %d of %d bytes: %v", what, n, len(p), status)
			}
		}
		for _, n := range []int{1, 2, 3, 4, 5, 100, 511} {
			split := inRecords(p[5:], n)
			if name, status := parse(split); name != want || status != clienthello.Complete {
				t.Errorf("%s, in records of %d: %q, %v, want %q", what, n, name, status, want)
			}
			if _, status := parse(split[:len(split)-1]); status != clienthello.Incomplete {
				t.Errorf("%s, in records of %d, without the last byte: %v", what, n, status)
			}
		}
		if name, status := parse(append(bytes.Clone(p), "what follows"...)); name != want || status != clienthello.Complete {
			t.Errorf("%s, with more behind it: %q, %v", what, name, status)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	const none, complete, incomplete = clienthello.None, clienthello.Complete, clienthello.Incomplete
	padding := func(n int) []byte { return extension(21, make([]byte, n)) }
	exactly := func(length int) []byte { // a message whose body has the length
		empty := len(message(names(0, "a"))) - 4
		return message(append(names(0, "a"), padding(length-empty-4)...))
	}
	for _, test := range []struct {
		what string
		p    []byte
		name string
		want clienthello.Status
	}{
		{"nothing", nil, "", incomplete},
		{"HTTP", []byte("G"), "", none},
		{"SSH", []byte("S"), "", none},
		{"SSL 2", []byte{0x80, 0x2e, 1}, "", none},
		{"an alert", []byte{21, 3, 1, 0, 2, 2, 40}, "", none},
		{"the first byte", []byte{22}, "", incomplete},
		{"no version", []byte{22, 'a'}, "", none},
		{"an empty record", []byte{22, 3, 1, 0, 0}, "", none},
		{"a record that is too long", []byte{22, 3, 1, 0x40, 1}, "", none},
		{"another message", []byte{22, 3, 1, 0, 4, 2}, "", none},
		{"a message of 16 KB", inRecords(exactly(clienthello.MostLength), 1<<14), "a", complete},
		{"its header alone", inRecords(exactly(clienthello.MostLength), 1<<14)[:9], "", incomplete},
		{"a byte more", inRecords(exactly(clienthello.MostLength+1), 1<<14), "", none},
		{"its header alone", inRecords(exactly(clienthello.MostLength+1), 1<<14)[:9], "", none},
		{"an alert amid it", append(inRecords(message(names(0, "a"))[:10], 5), 21), "", none},
		{"two messages in a record", oneRecord(append(message(names(0, "a")), 20, 0, 0, 0)), "a", complete},
		{"no place for extensions", oneRecord(message(nil)), "", complete},
		{"no extension", oneRecord(message([]byte{})), "", complete},
		{"another one first", oneRecord(message(append(padding(3), names(0, "a.example")...))), "a.example", complete},
		{"in upper case, with a dot", oneRecord(message(names(0, "A.Example."))), "A.Example.", complete},
		{"another type first", oneRecord(message(names(7, "x", 0, "a"))), "a", complete},
		{"only another type", oneRecord(message(names(7, "x"))), "", complete},
		{"two names", oneRecord(message(names(0, "a", 0, "b"))), "", none},
		{"an empty name", oneRecord(message(names(0, ""))), "", none},
		{"no name", oneRecord(message(extension(0, vector(nil)))), "", none},
		{"an empty extension", oneRecord(message(extension(0, nil))), "", none},
		{"the extension twice", oneRecord(message(append(names(0, "a"), names(0, "a")...))), "", none},
		{"an extension cut short", oneRecord(message([]byte{0, 0, 0, 9, 0})), "", none},
		{"something after the extensions", oneRecord(append(message([]byte{}), 1)), "", complete}, // another message
	} {
		if name, status := parse(test.p); name != test.name || status != test.want {
			t.Errorf("%s: %q, %v, want %q, %v", test.what, name, status, test.name, test.want)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	split := inRecords(message(names(0, "a.example")), 7)
	p := make([]byte, len(split))
	if n := testing.AllocsPerRun(100, func() {
		copy(p, split)
		if _, status := clienthello.Parse(p); status != clienthello.Complete {
			t.Fatal(status)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// errSeen ends the oracle's handshake.
var errSeen = errors.New("seen")

// oracle is what a server of crypto/tls takes p for; ok is false if it refuses it.
func oracle(p []byte) (name string, ok bool) {
	c := &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name, ok = h.ServerName, true
		return nil, errSeen
	}}
	_ = tls.Server(&player{Reader: bytes.NewReader(p)}, c).HandshakeContext(context.Background())
	return name, ok
}

// player is a connection that has p to read, and drops what is written.
type player struct {
	net.Conn
	*bytes.Reader
}

func (p *player) Read(b []byte) (int, error)       { return p.Reader.Read(b) }
func (p *player) Write(b []byte) (int, error)      { return len(b), nil }
func (p *player) SetWriteDeadline(time.Time) error { return nil }
func (p *player) Close() error                     { return nil }

// FuzzParse: what a server of crypto/tls reads, the balancer reads alike, however it is
// split; otherwise a client could show the two different names.
func FuzzParse(f *testing.F) {
	for _, n := range []int{1 << 14, 600, 64, 3} {
		f.Add(inRecords(hello(f, &tls.Config{ServerName: "a.example.com"})[5:], n))
		f.Add(inRecords(message(names(7, "x", 0, "a")), n))
	}
	f.Add(hello(f, &tls.Config{MaxVersion: tls.VersionTLS12}))
	f.Add(oneRecord(message(nil)))
	f.Fuzz(func(t *testing.T, p []byte) {
		name, status := parse(p)
		if want, ok := oracle(p); ok && (name != want || status != clienthello.Complete) && !tooLong(p) {
			t.Fatalf("%q, %v, and crypto/tls finds %q", name, status, want)
		}
		checkPrefixes(t, p, name, status)
	})
}

// tooLong reports whether p is a ClientHello that is longer than MostLength.
func tooLong(p []byte) bool {
	var message []byte
	for len(p) >= 5 {
		n := min(len(p), 5+int(binary.BigEndian.Uint16(p[3:])))
		message, p = append(message, p[5:n]...), p[n:]
	}
	return len(message) >= 4 && int(message[1])<<16|int(message[2])<<8|int(message[3]) > clienthello.MostLength
}

// checkPrefixes checks that what is found does not change once it is found, and does not
// depend on what follows.
func checkPrefixes(t *testing.T, p []byte, name string, status clienthello.Status) {
	step := max(1, len(p)/16)
	for n := 0; n < len(p); n += step {
		switch before, early := parse(p[:n]); {
		case early == clienthello.Incomplete:
		case early != status, before != name:
			t.Fatalf("the first %d bytes: %q, %v; all %d: %q, %v", n, before, early, len(p), name, status)
		}
	}
	if before := fmt.Sprint(parse(append(bytes.Clone(p), 0, 1, 2))); status != clienthello.Incomplete && before != fmt.Sprint(name, status) {
		t.Fatalf("with more behind it: %s, not %q, %v", before, name, status)
	}
}

// TestMutatedHellos does for hellos with one byte changed what FuzzParse does.
func TestMutatedHellos(t *testing.T) {
	t.Parallel()
	p := hello(t, &tls.Config{ServerName: "a.example.com", MaxVersion: tls.VersionTLS12})
	agree := 0
	for _, original := range [][]byte{p, inRecords(p[5:], 50)} {
		for i := range original {
			for _, change := range []byte{1, 0x80, 0xff} {
				changed := bytes.Clone(original)
				changed[i] ^= change
				name, status := parse(changed)
				want, ok := oracle(changed)
				if ok && (name != want || status != clienthello.Complete) {
					t.Fatalf("byte %d ^ %#x: %q, %v, and crypto/tls finds %q", i, change, name, status, want)
				}
				if ok {
					agree++
				}
			}
		}
	}
	if agree < len(p) {
		t.Errorf("crypto/tls takes only %d of the changed hellos: the test shows little", agree)
	}
}
