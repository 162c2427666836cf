package proxy

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mcplb/internal/certificate"
	"mcplb/internal/endpoint"
)

// transports says on which sides of a balancer TLS is spoken.
type transports struct {
	*authority
	clients, servers bool
}

// overTransports runs a test without TLS, and with it on either side and on both.
func overTransports(t *testing.T, test func(*testing.T, *transports)) {
	for name, on := range map[string]transports{
		"plain": {}, "clients": {clients: true}, "servers": {servers: true}, "both": {clients: true, servers: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on.authority = newAuthority(t)
			test(t, &on)
		})
	}
}

// frontend is the frontend's line about TLS.
func (s *transports) frontend() string {
	if !s.clients {
		return ""
	}
	return s.usual()
}

// backend is the backend's line about TLS.
func (s *transports) backend() string {
	if !s.servers {
		return ""
	}
	certificate.Write(s.t, s.directory, "ca", s.cert)
	return fmt.Sprintf("tls = { ca = %q, server_name = \"a.test\" }", filepath.Join(s.directory, "ca.pem"))
}

// front is where plain clients reach the balancer at an address.
func (s *transports) front(address string) string {
	if !s.clients {
		return address
	}
	return tunnel(s.t, func(c *net.TCPConn) stream { return c }, func() (stream, error) {
		raw, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		return tls.Client(raw, s.client()), nil
	})
}

// back is where the balancer reaches a plain server.
func (s *transports) back(address string) string {
	if !s.servers {
		return address
	}
	settings := s.issued("a.test")
	return tunnel(s.t, func(c *net.TCPConn) stream { return tls.Server(c, settings) }, func() (stream, error) {
		raw, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		return raw.(*net.TCPConn), nil
	})
}

// stream is a connection whose directions end one by one.
type stream interface {
	net.Conn
	CloseWrite() error
}

// tunnel accepts connections and joins each with one that it makes, until the test ends.
func tunnel(t testing.TB, accepted func(*net.TCPConn) stream, dial func() (stream, error)) (address string) {
	t.Helper()
	return endpoint.Serve(t, func(raw *net.TCPConn) {
		near := accepted(raw)
		far, err := dial()
		if err != nil {
			return
		}
		defer far.Close()
		stop := make(chan struct{})
		defer close(stop)
		var both sync.WaitGroup
		both.Go(func() { pass(near, far) })
		pass(far, near)
		both.Wait()
	}).Address
}

// pass copies one direction, and its end: a break breaks both.
func pass(from, to stream) {
	if _, err := io.Copy(to, from); err != nil {
		from.Close()
		to.Close()
		return
	}
	_ = to.CloseWrite()
}

// An event stream whose connections have updated their keys, a request that has come in
// half, and bytes that were sent ahead of the answer: all of it goes on.
func TestHandOverTLSRequests(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	next := make(chan string)
	web := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/stream" {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s.", body)
			return
		}
		for r.Context().Err() == nil {
			select {
			case text, more := <-next:
				if !more {
					return
				}
				fmt.Fprint(w, text)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
			}
		}
	})
	text := frontendText("f", anyPort, "http", "b", a.usual()) + httpBackend(web)
	r := startOld(t, text)
	client := browser(t, r.address("f"), a.client())
	client.Transport.(*http.Transport).DisableCompression = true // what is compressed stays until its end
	started := make(chan *http.Response, 1)
	go func() {
		response, err := client.Get("https://a.test/stream")
		if err == nil {
			started <- response
		} else {
			close(started)
		}
	}()
	next <- "first"
	response := endpoint.Receive(t, started)
	hear(t, response.Body, "first")
	halves, ahead := dialTLS(t, r.address("f"), a.client()), dialTLS(t, r.address("f"), a.client())
	fmt.Fprint(halves, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Le")
	h := r
	for i := range 3 {
		fmt.Fprint(ahead, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		wantAnswer(t, ahead, ".")
		h = h.upgrade(text)
		next <- fmt.Sprintf("event %d", i)
		hear(t, response.Body, fmt.Sprintf("event %d", i))
	}
	t.Cleanup(func() { _ = h.stop() })
	fmt.Fprint(halves, "ngth: 4\r\n\r\nbody")
	wantAnswer(t, halves, "body.")
	close(next)
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
	client.CloseIdleConnections()
	halves.Close()
	ahead.Close()
	h.empty()
}

// Upgrades under TLS streams that never rest: nothing is lost, nobody stays, and the log
// of the test says how long messages took. With MCPLB_LONG=1 there are 200 clients and
// twenty upgrades.
func TestHandOverTLSAgainAndAgain(t *testing.T) {
	t.Parallel()
	clients, upgrades := 20, 5
	if os.Getenv("MCPLB_LONG") != "" {
		clients, upgrades = 200, 20
	}
	a := newAuthority(t)
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "mcp", "b", a.usual()) + backendText("b", []string{s.Address})
	r := startOld(t, text)
	stop := make(chan struct{})
	var working sync.WaitGroup
	took := make([][]time.Duration, clients)
	for i := range clients {
		c := dialTLS(t, r.address("f"), a.client())
		working.Go(func() {
			defer c.Close()
			line := []byte("a message\n")
			got := make([]byte, len(line))
			every := time.NewTicker(20 * time.Millisecond)
			defer every.Stop()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-every.C:
				}
				began := time.Now()
				if _, err := c.Write(line); err != nil {
					t.Errorf("message %d: %v", n, err)
					return
				}
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, line) {
					t.Errorf("message %d comes back as %q, %v", n, got, err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	h := r
	for range upgrades {
		before := h.frontend("f").Traffic.MessagesIn
		h.eventually("messages flow", func() bool { return h.frontend("f").Traffic.MessagesIn > before+uint64(clients) })
		h = h.upgrade(text)
	}
	t.Cleanup(h.end)
	close(stop)
	working.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	t.Logf("%d messages of %d clients amid %d upgrades, there and back: %v in the median, %v for 99%%, %v at most",
		len(all), clients, upgrades, all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
}
