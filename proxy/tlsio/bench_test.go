package tlsio

import (
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"testing"
	"unsafe"

	"mcplb/proxy/reactor"
)

// BenchmarkMessage is one message, opened and sealed again, as the balancer does with
// what a client sends and gets back: by the layer, and by crypto/tls.
func BenchmarkMessage(b *testing.B) {
	message := make([]byte, 200)
	b.Run("layer", func(b *testing.B) {
		near, far := pair(b, &layerSuites[0])
		far.write(new(worker), nil, message)
		w, record, room := new(worker), make([]byte, 0, 500), make([]byte, 0, 500)
		far.out.seq = 0
		record = far.write(w, record, message)
		for b.Loop() {
			near.in.seq = 0
			if _, _, refused := near.open(w, record, room); refused != 0 {
				b.Fatal(refused)
			}
			near.write(w, room, message)
		}
		b.ReportAllocs()
	})
	b.Run("crypto-tls", func(b *testing.B) {
		near, far := tlsPair(b)
		got := make([]byte, len(message))
		for b.Loop() { // the peer's work is in it, too: half of what is shown
			if _, err := far.Write(message); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(near, got); err != nil {
				b.Fatal(err)
			}
			if _, err := near.Write(got); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(far, got); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
	})
}

// BenchmarkSizes is BenchmarkMessage of the layer, with messages of several sizes.
func BenchmarkSizes(b *testing.B) {
	for _, size := range []int{100, 1000, 16_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			near, far := pair(b, &layerSuites[0])
			far.out.seq = 0
			message, w := make([]byte, size), new(worker)
			record, room := far.write(w, nil, message), make([]byte, 0, 2*maxCiphertext)
			for b.Loop() {
				near.in.seq = 0
				if _, _, refused := near.open(w, record, room); refused != 0 {
					b.Fatal(refused)
				}
				near.write(w, room, message)
			}
		})
	}
}

// memoryPipe is one end of a connection in memory, which one goroutine uses: reads find
// what was written before.
type memoryPipe struct {
	net.Conn
	in, out *[]byte
}

func (p memoryPipe) Read(b []byte) (int, error) {
	n := copy(b, *p.in)
	*p.in = append((*p.in)[:0], (*p.in)[n:]...)
	return n, nil
}

func (p memoryPipe) Write(b []byte) (int, error) {
	*p.out = append(*p.out, b...)
	return len(b), nil
}

// switched is a connection that is changed after the handshake.
type switched struct{ net.Conn }

// tlsPair is two connections of crypto/tls after their handshake, joined in memory.
func tlsPair(t testing.TB) (server, client *tls.Conn) {
	t.Helper()
	one, two := net.Pipe()
	near, far := &switched{one}, &switched{two}
	server = tls.Server(near, &tls.Config{Certificates: usual(t).Certificates, SessionTicketsDisabled: true})
	client = tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	failed := make(chan error, 1)
	go func() { failed <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	var up, down []byte
	near.Conn, far.Conn = memoryPipe{in: &up, out: &down}, memoryPipe{in: &down, out: &up}
	return server, client
}

// BenchmarkHandOff is what the end of a handshake costs because the layer goes on: the
// secrets are taken, and the records sent are counted.
func BenchmarkHandOff(b *testing.B) {
	f := begin(b, reactor.Kernel(), usual(b))
	sent := &recording{Conn: f.dialRaw()}
	var s secrets
	conn := tls.Client(sent, s.reportTo(f.client()))
	if err := conn.Handshake(); err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // the ticket has come with it
		b.Fatal(err)
	}
	state := conn.ConnectionState()
	conn.Close()
	for b.Loop() {
		again := secrets{append([]byte(nil), s.client...), append([]byte(nil), s.server...)}
		if newLayer(&state, &again, false, sent.heard) == nil {
			b.Fatal("no layer")
		}
	}
}

// What a connection of TLS 1.3 holds at rest stays small: a balancer has many, and most
// of them rest. (In use there are two AES key schedules of 768 bytes more.)
func TestSizes(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Transport{}) + unsafe.Sizeof(layer{}); size > 288 {
		t.Errorf("a connection at rest takes %d bytes, want 288 at most", size)
	} else {
		t.Logf("%d bytes", size)
	}
}
