package l7

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// floods are frames that provoke answers to no purpose.
var floods = map[string]func(*http2.Framer) error{
	"SETTINGS":   func(f *http2.Framer) error { return f.WriteSettings() },
	"PING":       func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) },
	"RST_STREAM": func(f *http2.Framer) error { return f.WriteRawFrame(http2.FramePriority, 0, 3, nil) }, // which is what it is answered
}

// flooder is a client that opens an exchange, and reads nothing from then on.
func (b *fixture) flooder(s *server) (client *httpConn, exchange *httpConn) {
	b.Helper()
	client = b.dialNarrow()
	client.Say(http2.ClientPreface)
	var out bytes.Buffer
	f := http2.NewFramer(&out, nil)
	_ = f.WriteSettings()
	// GET / of the static table; the authority is a literal.
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82, 0x86, 0x84, 0x01, 1, 'h'}, EndHeaders: true, EndStream: true})
	client.Say(out.String())
	exchange = s.next()
	exchange.request()
	return client, exchange
}

// mostQueued is how much may wait for a client that reads nothing: what makes the connection
// stop reading, and the answers to one read, which has 64 KB of frames of nine bytes.
const mostQueued = mostReplies + 128<<10

// queued returns the most that waits to be sent to one client.
func (b *fixture) queued() (most int) {
	b.eachMultiplexer(func(m *multiplexer) { most = max(most, m.output.Len()+m.Conn.Parked()) })
	return most
}

// A client that floods and reads nothing is disconnected at once, or it would cost the
// balancer as long as it likes: its exchanges end, and it cannot make answers pile up.
func TestHTTP2Flood(t *testing.T) {
	t.Parallel()
	for name, write := range floods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, overHTTP2, narrow, withStoppedTime)
			client, server := b.flooder(s)
			var frames bytes.Buffer
			for f := http2.NewFramer(&frames, nil); frames.Len() < 32<<10; {
				_ = write(f)
			}
			flooded := make(chan error)
			go func() {
				for {
					if _, err := client.Write(frames.Bytes()); err != nil {
						flooded <- err
						return
					}
				}
			}()
			b.Eventually("the flood is seen", func() bool { return b.frontend.Totals().StreamsRefused["score"] == 1 })
			if n := b.queued(); n > mostQueued {
				t.Errorf("%d bytes wait for a client that reads nothing", n)
			}
			server.HearReset()
			b.Advance(failureLinger + time.Second) // for the client to read GOAWAY
			b.Advance(failureLinger + time.Second) // and FIN
			if err := <-flooded; errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the client was not cut")
			}
		})
	}
}

// One that does so slowly is no flood: what waits for it is bounded, and a timer ends it.
func TestHTTP2NeverReads(t *testing.T) {
	t.Parallel()
	for name, write := range floods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, overHTTP2, narrow, withStoppedTime)
			client, server := b.flooder(s)
			var frames bytes.Buffer
			for f, i := http2.NewFramer(&frames, nil), 0; i < 300; i++ { // 1,500 points at most
				_ = write(f)
			}
			stuck := false
			for !stuck {
				client.Say(frames.String())
				b.Advance(time.Minute) // which forgives them
				b.eachMultiplexer(func(m *multiplexer) { stuck = m.Stuck != 0 })
				if n := b.queued(); n > mostQueued {
					t.Fatalf("%d bytes wait for a client that reads nothing", n)
				}
			}
			b.Advance(b.frontend.Settings().Frontend.TimeoutClient + time.Second)
			server.HearReset()
			b.Eventually("the client is cut", func() bool { return b.frontend.Current() == 0 })
		})
	}
}
