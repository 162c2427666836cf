package l4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
)

// A plan says what is sent on one connection in both directions, and how it ends. It
// is derived from its seed, so that both ends know all of it.
type plan struct {
	seed     uint64
	up, down int // bytes
	ending   ending
}

type ending int

const (
	bothAtOnce   ending = iota // each finishes when it has sent all
	clientFirst                // the server sends only once the client has finished
	serverFirst                // the client sends only once the server has finished
	clientResets               // the client sends everything, and resets without waiting
	serverResets
	endings
)

func newPlan(seed uint64, most int) plan {
	rng := rand.New(rand.NewPCG(seed, 0))
	size := func() int { return int(math.Exp(rng.Float64() * math.Log(float64(most)))) }
	return plan{seed: seed, up: size(), down: size(), ending: ending(rng.IntN(int(endings)))}
}

// complete reports whether everything must arrive.
func (p plan) complete() bool { return p.ending < clientResets }

// stream returns the bytes of one direction; some of them are newlines.
func (p plan) stream(direction byte) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], p.seed)
	key[8] = direction
	return rand.NewChaCha8(key)
}

const (
	upward   = 'u'
	downward = 'd'
)

// send writes n bytes of a direction in pieces of random size, with pauses.
func (p plan) send(c io.Writer, direction byte, n int) error {
	rng := rand.New(rand.NewPCG(p.seed, uint64(direction)))
	stream := p.stream(direction)
	piece := make([]byte, 256<<10)
	for n > 0 {
		size := min(n, 1+int(math.Exp(rng.Float64()*math.Log(float64(len(piece))))))
		part := piece[:min(size, len(piece))]
		if _, err := io.ReadFull(stream, part); err != nil {
			return err
		}
		if _, err := c.Write(part); err != nil {
			return err
		}
		n -= len(part)
		for range rng.IntN(20) {
			runtime.Gosched()
		}
	}
	return nil
}

// receive reads to the end and checks that the bytes are those that were sent: all of
// them, or, on a connection that breaks off, the first of them and no orderly end.
func (p plan) receive(c io.Reader, direction byte, n int) error {
	stream := p.stream(direction)
	got, want := make([]byte, 64<<10), make([]byte, 64<<10)
	total := 0
	for {
		size, err := c.Read(got)
		if _, err := io.ReadFull(stream, want[:size]); err != nil {
			return err
		}
		if !bytes.Equal(got[:size], want[:size]) {
			return fmt.Errorf("after %d bytes another byte was received than was sent", total)
		}
		total += size
		if err == nil {
			continue
		}
		return p.checkEnd(total, n, err)
	}
}

func (p plan) checkEnd(got, sent int, err error) error {
	switch {
	case p.complete() && (err != io.EOF || got != sent):
		return fmt.Errorf("received %d of %d bytes, and then %w", got, sent, err)
	case !p.complete() && errors.Is(err, io.EOF) && got != sent:
		return fmt.Errorf("received an orderly end after %d of %d bytes of a stream that was broken off", got, sent)
	}
	return nil
}

// client plays the client.
func (p plan) client(c *net.TCPConn) error {
	var key [8]byte
	binary.LittleEndian.PutUint64(key[:], p.seed)
	if _, err := c.Write(key[:]); err != nil {
		return err
	}
	switch p.ending {
	case clientFirst:
		return errors.Join(p.finish(c, upward, p.up), p.receive(c, downward, p.down))
	case serverFirst:
		return errors.Join(p.receive(c, downward, p.down), p.finish(c, upward, p.up))
	}
	return p.both(c, clientResets, upward, p.up, downward, p.down)
}

// server plays the server.
func (p plan) server(c *net.TCPConn) error {
	switch p.ending {
	case clientFirst:
		return errors.Join(p.receive(c, upward, p.up), p.finish(c, downward, p.down))
	case serverFirst:
		return errors.Join(p.finish(c, downward, p.down), p.receive(c, upward, p.up))
	}
	return p.both(c, serverResets, downward, p.down, upward, p.up)
}

// finish sends everything and then FIN.
func (p plan) finish(c *net.TCPConn, direction byte, n int) error {
	return errors.Join(p.send(c, direction, n), c.CloseWrite())
}

// both sends and receives at the same time.
func (p plan) both(c *net.TCPConn, resetting ending, out byte, outSize int, in byte, inSize int) error {
	var received error
	var receiving sync.WaitGroup
	receiving.Go(func() { received = p.receive(c, in, inSize) })
	err := p.send(c, out, outSize)
	if p.ending == resetting {
		endpoint.Reset(c)
		receiving.Wait()
		return nil // its own reading was cut off
	}
	if err == nil {
		err = c.CloseWrite()
	}
	receiving.Wait()
	if err != nil && !p.complete() {
		return nil // the write reported the reset: the kernel reports it only once
	}
	return errors.Join(err, received)
}

// readPlan receives the seed that tells the server the plan of its connection.
func readPlan(c io.Reader, most int) (plan, error) {
	var key [8]byte
	_, err := io.ReadFull(c, key[:])
	return newPlan(binary.LittleEndian.Uint64(key[:]), most), err
}

// On many connections, with random sizes, pieces and endings, in both directions at
// once, the bytes that arrive are those that were sent.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	connections, most := 60, 1<<20
	if raceEnabled {
		connections, most = 40, 256<<10
	}
	if harness.Long {
		connections, most = 1000, 8<<20
	}
	for _, mode := range []conf.Mode{conf.ModeTCP, conf.ModeMCP} {
		for _, pipes := range []int{0, 3, 64} {
			t.Run(fmt.Sprintf("%s, %d pipes", mode, pipes), func(t *testing.T) {
				t.Parallel()
				exchange(t, inMode(mode), withPipes(pipes), connections, most)
			})
		}
	}
}

// One connection relays 8 MB in both directions.
func TestIntegrityOfAStream(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	for _, mode := range []conf.Mode{conf.ModeTCP, conf.ModeMCP} {
		for _, pipes := range []int{0, 64} {
			t.Run(fmt.Sprintf("%s, %d pipes", mode, pipes), func(t *testing.T) {
				t.Parallel()
				p := plan{seed: 1, up: size, down: size}
				served := make(chan error, 1)
				s := endpoint.Serve(t, func(c *net.TCPConn) { served <- p.server(c) })
				b := start(t, []string{s.Address}, inMode(mode), withPipes(pipes))
				report(t, p.both(b.dial().TCPConn, clientResets, upward, p.up, downward, p.down))
				report(t, endpoint.Receive(t, served))
			})
		}
	}
}

// exchange runs the plans of all connections at once.
func exchange(t *testing.T, mode, pipes func(*setup), connections, most int) {
	s := endpoint.Serve(t, func(c *net.TCPConn) {
		p, err := readPlan(c, most)
		if err != nil {
			return // it broke off before it sent anything
		}
		if err := p.server(c); err != nil {
			t.Errorf("server, %+v: %v", p, err)
		}
	})
	b := start(t, []string{s.Address}, mode, pipes)
	var all sync.WaitGroup
	var up, down uint64
	for i := range connections {
		p := newPlan(uint64(i), most)
		if p.complete() {
			up, down = up+8+uint64(p.up), down+uint64(p.down)
		}
		c := b.dial()
		all.Go(func() {
			if err := p.client(c.TCPConn); err != nil {
				t.Errorf("client, %+v: %v", p, err)
			}
			c.Close()
		})
	}
	all.Wait()
	b.Eventually("every session has ended", func() bool { return b.frontend.Current() == 0 && s.Idle() })
	totals, served := b.frontend.Totals(), b.pool.Servers()[0].Totals()
	if totals.BytesIn < up || totals.BytesOut < down {
		t.Errorf("counted %d bytes up and %d down, want at least %d and %d", totals.BytesIn, totals.BytesOut, up, down)
	}
	if totals.BytesIn != served.BytesIn || totals.BytesOut != served.BytesOut {
		t.Errorf("the frontend counted %d and %d bytes, the server %d and %d", totals.BytesIn, totals.BytesOut, served.BytesIn, served.BytesOut)
	}
}

func report(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
