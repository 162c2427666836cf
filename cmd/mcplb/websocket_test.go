package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// Independent implementations of WebSocket communicate through mcplb: coder/websocket
// and, in a long run, npm's ws, each as client and as server, with and without
// permessage-deflate. Messages of up to 16 MiB, text and binary, unfragmented and
// fragmented, with pings in between, come back unchanged, and so does the close code.
func TestWebSocketInteroperability(t *testing.T) {
	t.Parallel()
	parties := []party{coder{}}
	if modules := installWS(t); modules != "" {
		parties = append(parties, npm{modules})
	}
	for _, server := range parties {
		for _, deflate := range []string{"plain", "deflate"} {
			t.Run(fmt.Sprintf("%T's server, %s", server, deflate), func(t *testing.T) {
				t.Parallel()
				s := newSetup(t, server.serve(t, deflate))
				s.mode, s.endpoint, s.ratelimit = "http", "http", "connection_rate = 0\nmessage_rate = 0"
				b := startBalancer(t, s)
				for _, client := range parties {
					t.Run(fmt.Sprintf("%T's client", client), func(t *testing.T) {
						t.Parallel()
						client.converse(t, b.frontend, deflate, full(1000, 60), full(16<<20, 1<<20))
					})
				}
			})
		}
	}
}

// party is an implementation of both sides of WebSocket. deflate is "deflate" or
// "plain": whether permessage-deflate is offered and accepted.
type party interface {
	// serve starts an echo server and returns its address.
	serve(t *testing.T, deflate string) string
	// converse sends messages of up to largest bytes to an echo server and checks
	// that they come back.
	converse(t *testing.T, address, deflate string, messages, largest int)
}

// npm is npm's ws: a script that uses it, and the directory of the installation.
type npm struct{ modules string }

// installWS returns a directory with npm's ws, or "" if it is not available.
func installWS(t *testing.T) string {
	t.Helper()
	if full(1, 0) == 0 {
		return "" // the installation needs the network
	}
	directory := t.TempDir()
	if output, err := exec.Command("npm", "install", "--prefix", directory, "ws@8").CombinedOutput(); err != nil {
		t.Logf("npm's ws is not tested: installing it: %v\n%s", err, output)
		return ""
	}
	return directory
}

func (n npm) serve(t *testing.T, deflate string) string {
	t.Helper()
	return "127.0.0.1:" + n.start(t, "serve", deflate).await(t, `listening on (\d+)`)[1]
}

func (n npm) converse(t *testing.T, address, deflate string, messages, largest int) {
	t.Helper()
	p := n.start(t, "connect", deflate, "ws://"+address+"/", fmt.Sprint(messages), fmt.Sprint(largest))
	t.Log(p.await(t, `\d+ messages, \d+ pongs`)[0])
	p.expectExit(t, 0)
}

func (n npm) start(t *testing.T, arguments ...string) *process {
	t.Helper()
	script, err := filepath.Abs("../../testdata/websocket/peer.mjs")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("node", append([]string{script}, arguments...)...)
	command.Dir = n.modules
	return startProcess(t, command)
}

// coder is github.com/coder/websocket.
type coder struct{}

func (coder) serve(t *testing.T, deflate string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: compression(deflate), CompressionThreshold: 1})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for echoMessage(c) == nil {
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func compression(deflate string) websocket.CompressionMode {
	if deflate == "deflate" {
		return websocket.CompressionContextTakeover
	}
	return websocket.CompressionDisabled
}

// echoMessage sends the next message back, in fragments as it arrives.
func echoMessage(c *websocket.Conn) error {
	kind, from, err := c.Reader(context.Background())
	if err != nil {
		return err
	}
	to, err := c.Writer(context.Background(), kind)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Close()
}

// frames is a message of a WebSocket.
type frames struct {
	kind websocket.MessageType
	data []byte
}

// messageOf is message number i: all sizes at which the framing differs, and large
// ones.
func messageOf(i, largest int) frames {
	sizes := []int{0, 1, 125, 126, 127, 1<<16 - 1, 1 << 16, 1<<16 + 1}
	size := i * 7919 % 20000
	switch {
	case i%250 == 49:
		size = largest
	case i%16 < len(sizes):
		size = sizes[i%16]
	}
	if i%2 == 0 {
		return frames{websocket.MessageText, []byte(strings.Repeat(fmt.Sprintf("message %d ", i), size/10+1)[:size])}
	}
	data := make([]byte, size)
	for at, random := 0, rand.New(rand.NewPCG(uint64(i), 1)); at < len(data); at++ {
		data[at] = byte(random.Uint32())
	}
	return frames{websocket.MessageBinary, data}
}

func (coder) converse(t *testing.T, address, deflate string, messages, largest int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, response, err := websocket.Dial(ctx, "ws://"+address+"/", &websocket.DialOptions{CompressionMode: compression(deflate), CompressionThreshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	if agreed := response.Header.Get("Sec-WebSocket-Extensions"); strings.Contains(agreed, "permessage-deflate") != (deflate == "deflate") {
		t.Fatalf("extensions: %q", agreed)
	}
	sent := make(chan error, 1)
	go func() { sent <- send(ctx, c, messages, largest) }()
	for i := range messages {
		kind, data, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if want := messageOf(i, largest); kind != want.kind || !bytes.Equal(data, want.data) {
			t.Fatalf("message %d came back changed, with %d bytes, want %d", i, len(data), len(want.data))
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err := c.Close(4000, "that was all"); err != nil {
		t.Errorf("closing: %v", err)
	}
	t.Logf("%d messages, %d pongs", messages, (messages+19)/20)
}

// send sends messages, every third in fragments, with pings in between.
func send(ctx context.Context, c *websocket.Conn, messages, largest int) error {
	for i := range messages {
		m := messageOf(i, largest)
		pieces := 1
		if i%3 == 2 {
			pieces = 3
		}
		w, err := c.Writer(ctx, m.kind)
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		for n := range pieces {
			if _, err := w.Write(m.data[n*len(m.data)/pieces : (n+1)*len(m.data)/pieces]); err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
		}
		if err := w.Close(); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if i%20 == 0 {
			if err := c.Ping(ctx); err != nil {
				return fmt.Errorf("ping after message %d: %w", i, err)
			}
		}
	}
	return nil
}
