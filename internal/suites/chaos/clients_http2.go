package main

//lint:file-ignore SA1019 the client of net/http cannot open one connection, nor extended CONNECT

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// multiplexed is a connection of HTTP/2 with streams that know nothing of each other.
type multiplexed struct {
	raw  net.Conn
	http *http2.ClientConn
}

// multiplex uses several streams of one connection at once. If the client ends the
// connection, the failures of its streams are its own.
func (c *client) multiplex(ctx context.Context, secure bool) error {
	port := http2Port
	if secure {
		port = http2sPort
	}
	raw, err := c.dial(port)
	if err != nil {
		return err
	}
	defer raw.Close()
	conn, err := (&http2.Transport{AllowHTTP: true, DisableCompression: true}).NewClientConn(raw)
	if err != nil {
		return err
	}
	defer conn.Close()
	m := &multiplexed{raw, conn}
	errs := make([]error, 1+c.random.IntN(12))
	var streams sync.WaitGroup
	for i := range errs {
		stream := *c
		stream.random = rand.New(rand.NewPCG(c.random.Uint64(), uint64(i)))
		streams.Go(func() { errs[i] = stream.onStream(ctx, m, 1000*(i+1)) })
	}
	streams.Wait()
	all := errors.Join(errs...)
	if errors.Is(all, errAborted) && !errors.Is(all, errWrong) {
		return errAborted
	}
	return all
}

// onStream is what one of them does; first is the number of its first request.
func (c *client) onStream(ctx context.Context, m *multiplexed, first int) error {
	var err error
	for n := first; n < first+1+c.random.IntN(12) && ctx.Err() == nil && err == nil; n++ {
		switch c.random.IntN(8) {
		case 0:
			err = m.listen(c, ctx, n)
		case 1:
			err = m.cancel(c, n)
		case 2:
			err = m.exchange(c, n)
		default:
			err = m.ask(c, n)
		}
	}
	if left(err) {
		return nil // the rest may be sent again on another connection
	}
	return err
}

// errRefused marks a request that was not sent, or that the balancer has not processed.
var errRefused = errors.New("refused by GOAWAY")

func left(err error) bool { return errors.Is(err, errRefused) && !errors.Is(err, errWrong) }

// open sends a request, and returns the response.
func (m *multiplexed) open(ctx context.Context, method, path, identity string, body io.Reader, fields ...string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "https://chaos"+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set(identityHeader, identity)
	for i := 0; i < len(fields); i += 2 {
		request.Header[fields[i]] = []string{fields[i+1]}
	}
	if !m.http.CanTakeNewRequest() {
		return nil, errRefused
	}
	response, err := m.http.RoundTrip(request)
	if err != nil && (strings.Contains(err.Error(), "graceful shutdown GOAWAY") || strings.Contains(err.Error(), "not usable")) {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	return response, err
}

// ask sends a request, slowly at times, and reads its response, slowly at times.
func (m *multiplexed) ask(c *client, n int) error {
	path := "/echo"
	if !c.calm {
		path = []string{"/echo", "/echo", "/echo", "/early", "/cut"}[c.random.IntN(5)]
	}
	text := c.message(n)
	var body io.Reader = strings.NewReader(text)
	if c.random.IntN(4) == 0 {
		part := c.random.IntN(len(text))
		body = io.MultiReader(strings.NewReader(text[:part]), &slowly{strings.NewReader(text[part:]), time.Duration(c.random.IntN(1000)) * time.Millisecond})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	response, err := m.open(ctx, http.MethodPost, path, c.identity(n), body, "Content-Type", "application/json")
	if path == "/cut" && err != nil && !errors.Is(err, errRefused) {
		return nil // it was cut before its head had left the server
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if c.aborts(m.raw) {
		return errAborted
	}
	if c.random.IntN(10) == 0 {
		time.Sleep(time.Duration(c.random.IntN(1500)) * time.Millisecond)
	}
	_, err = c.checkResponse(response, path, n, text)
	return err
}

// slowly pauses before it reads.
type slowly struct {
	io.Reader
	pause time.Duration
}

func (s *slowly) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	s.pause = 0
	return s.Reader.Read(p)
}

// listen reads an event stream to its end.
func (m *multiplexed) listen(c *client, ctx context.Context, n int) error {
	most := 1 + c.random.IntN(150)
	patient, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	response, err := m.open(patient, http.MethodGet, c.eventPath(most), c.identity(n), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return c.readEvents(ctx, m.raw, response, n, most)
}

// cancel ends a stream at any moment. The others must not notice.
func (m *multiplexed) cancel(c *client, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.random.IntN(100))*time.Millisecond)
	defer cancel()
	response, err := m.open(ctx, http.MethodGet, "/events?of=0", c.identity(n), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// exchange sends WebSocket messages by extended CONNECT, and expects each back.
func (m *multiplexed) exchange(c *client, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	reader, writer := io.Pipe()
	defer writer.Close()
	response, err := m.open(ctx, http.MethodConnect, "/ws", c.identity(n), reader, ":protocol", "websocket", "Sec-WebSocket-Version", "13")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("WebSocket: %s", response.Status)
	}
	for range 1 + c.random.IntN(20) {
		message := c.message(n)
		if _, err := writer.Write(webSocketFrame(message, true)); err != nil {
			return err
		}
		if c.aborts(m.raw) {
			return errAborted
		}
		want := webSocketFrame(message, false)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(response.Body, got); err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return wrong("WebSocket message", string(got), string(want))
		}
	}
	return nil
}

// webSocketFrame is a text; the mask is zero.
func webSocketFrame(text string, masked bool) []byte {
	frame := []byte{0x81}
	switch n := len(text); {
	case n < 126:
		frame = append(frame, byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(n))
	}
	if masked {
		frame[1] |= 0x80
		frame = append(frame, 0, 0, 0, 0)
	}
	return append(frame, text...)
}

// garbageHTTP2 opens some streams, sends a frame that makes no sense, and leaves. Whatever
// comes back is right, if the balancer lives on.
func (c *client) garbageHTTP2(context.Context) error {
	conn, err := c.dial([]int{http2Port, http2sPort}[c.random.IntN(2)])
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with conn
	for range 1 + c.random.IntN(20) {
		payload := make([]byte, c.random.IntN(64))
		for i := range payload {
			payload[i] = byte(c.random.Uint32())
		}
		frame := append([]byte{0, 0, byte(len(payload)), byte(c.random.IntN(11)), byte(c.random.Uint32()), 0, 0, 0, byte(c.random.IntN(6))}, payload...)
		if _, err := conn.Write(frame); err != nil {
			break // it was refused
		}
		if c.random.IntN(4) == 0 {
			time.Sleep(time.Duration(c.random.IntN(500)) * time.Millisecond) // a reload or an upgrade, perhaps
		}
	}
	if c.random.IntN(2) == 0 {
		reset(conn)
	}
	return nil
}
