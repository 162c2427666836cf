package tlsio

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"mcplb/internal/endpoint"
	"mcplb/proxy/reactor"
)

// transcript is the output of a process so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// openssl runs openssl's client until input is closed.
func (b *fixture) openssl(arguments ...string) (input io.WriteCloser, output *transcript, wait func()) {
	b.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		b.Skip("openssl is not installed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), endpoint.Patience)
	b.Cleanup(cancel)
	output = &transcript{}
	client := exec.CommandContext(ctx, path, append([]string{"s_client", "-connect", b.address}, arguments...)...)
	client.Stdout, client.Stderr = output, output
	if input, err = client.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	if err := client.Start(); err != nil {
		b.Fatal(err)
	}
	return input, output, func() { _ = client.Wait() } // its exit status means little
}

func (b *fixture) say(input io.Writer, text string) {
	b.Helper()
	if _, err := io.WriteString(input, text); err != nil {
		b.Fatal(err)
	}
}

// TestKeyUpdates has a client that changes its keys and requests new keys of
// the server, between messages (RFC 8446 section 4.6.3).
func TestKeyUpdates(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	input, output, wait := b.openssl("-tls1_3")
	for i, command := range []string{"", "K\n", "k\n", "K\n"} {
		b.say(input, command)
		if command != "" {
			b.eventually("the update is sent", func() bool { return strings.Count(output.String(), "KEYUPDATE") >= i })
		}
		line := "message " + strings.Repeat("x", i) + "\n"
		b.say(input, line)
		b.eventually("the message comes back", func() bool { return strings.Contains(output.String(), line) })
	}
	input.Close()
	wait()
	if got := b.recorded(&b.reads); got != 0 {
		t.Errorf("the stream ended with %v", got)
	}
}

// TestRenegotiation has a TLS 1.2 client that asks for another handshake: it is
// refused.
func TestRenegotiation(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	input, output, wait := b.openssl("-tls1_2")
	b.say(input, "hello\n")
	b.eventually("the message comes back", func() bool { return strings.Contains(output.String(), "hello\n") })
	b.say(input, "R\n")
	wait()
	input.Close()
	if text := output.String(); !strings.Contains(text, "RENEGOTIATING") || !strings.Contains(text, "error") {
		t.Errorf("the client's output:\n%s", text)
	}
	if got := b.recorded(&b.reads); got == 0 {
		t.Error("the connection ended normally")
	}
}

// TestReconnect resumes an openssl session five times.
func TestReconnect(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	input, output, wait := b.openssl("-tls1_2", "-reconnect")
	b.eventually("all are resumed", func() bool { return strings.Count(output.String(), "Reused, TLSv1.2") == 5 })
	input.Close()
	wait()
	// The client may have gone before the server has read the end of its last
	// handshake.
	b.eventually("all are counted", func() bool { return b.server.Totals().Resumed >= 5 })
	if totals := b.server.Totals(); totals.Full != 1 || totals.Resumed != 5 {
		t.Errorf("counted %+v", totals)
	}
}

// TestAllocations limits the allocations per message: none with TLS 1.3, whose client
// is a layer here; with TLS 1.2 crypto/tls allocates a small reader for each record it
// reads, in the client too.
func TestAllocations(t *testing.T) {
	most := 0.0
	if raceEnabled {
		most = 20 // sync.Pool drops items at random then
	}
	b := begin(t, reactor.Kernel(), usual(t))
	message := make([]byte, 200)
	check := func(version string, most float64, round func()) {
		t.Helper()
		round() // the tickets of TLS 1.3 are read
		if n := testing.AllocsPerRun(500, round); n > most {
			t.Errorf("TLS %s: %v allocations per echo, want %v", version, n, most)
		}
	}
	a := b.attacker()
	a.say(t, "hello")
	scratch := new(worker)
	record, room := make([]byte, 0, 500), make([]byte, 0, 500)
	check("1.3", most, func() {
		record = a.seal(scratch, record[:0], typeApplication, message)
		if _, err := a.Write(record); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(a.Conn, record); err != nil {
			t.Fatal(err)
		}
		if _, _, refused := a.open(scratch, record, room); refused != 0 {
			t.Fatalf("alert %d", refused)
		}
	})
	a.Close()
	config := b.client()
	config.MaxVersion = tls.VersionTLS12
	conn, _ := b.dial(config)
	defer conn.Close()
	check("1.2", most+2, func() {
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, message); err != nil {
			t.Fatal(err)
		}
	})
}
