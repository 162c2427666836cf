package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/internal/endpoint"
	"mcplb/proxy/handover"

	"golang.org/x/sys/unix"
)

// predecessor starts a balancer that is to be succeeded. Only that it ends is
// checked: what began in it may end in another.
func predecessor(t testing.TB, text string) *running {
	t.Helper()
	p, err := Start(parse(t, text), options())
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, p)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errors.New("the test is over"))
		_ = r.Stop(ctx) // clients that are left were cut off, or were not: the test says which
	})
	return r
}

// heir starts the balancer that takes r's place, as another process would, up
// to where it serves. Nothing has moved yet.
func (r *running) heir(text string) *running {
	r.t.Helper()
	inherited := map[string]*net.TCPListener{}
	r.old = &handover.Old{Balancer: r.Handover()}
	sockets, err := r.Handover().Sockets()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range sockets {
		socket, err := net.FileListener(s.File)
		s.File.Close()
		if err != nil {
			r.t.Fatal(err)
		}
		inherited[s.Address] = socket.(*net.TCPListener)
	}
	o := options()
	o.Suspended, o.Inherited = true, func(address string) *net.TCPListener { return inherited[address] }
	p, err := Start(parse(r.t, text), o)
	if err != nil {
		r.t.Fatal(err)
	}
	h := run(r.t, p)
	h.new = &handover.New{Balancer: p.Handover(), Log: slog.New(slog.DiscardHandler)}
	r.old.Suspend()
	state, err := r.old.State()
	if err == nil {
		err = h.new.Restore(state)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	h.new.Serve()
	return h
}

// give moves what can move to another, and tells how many connections did.
func (r *running) give(to *running) (moved int) {
	r.t.Helper()
	err := r.old.Move(func(b *handover.Batch) error {
		arrival, err := to.new.Adopt(b.Payload, duplicates(r.t, b.Descriptors))
		if err != nil {
			return err
		}
		arrival.Serve()
		b.Gone(arrival.Refused)
		moved += len(b.Descriptors)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.report(to)
	return moved
}

// report tells another what is left.
func (r *running) report(to *running) (clients int) {
	r.t.Helper()
	report, clients, err := r.old.Report()
	if err == nil {
		err = to.new.Update(report)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return clients
}

// duplicates are what another process would get.
func duplicates(t testing.TB, fds []int) (copies []int) {
	t.Helper()
	for _, fd := range fds {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, copied)
	}
	return copies
}

// succeed is the whole of it: the heir serves, and nobody is left in r.
func (r *running) succeed(text string) *running {
	r.t.Helper()
	h := r.heir(text)
	r.give(h)
	r.old.Leave()
	if n := r.Connections(); n != 0 {
		r.t.Fatalf("%d clients are left behind", n)
	}
	if r.Snapshot().Process.Draining {
		r.t.Error("a health check would be told that new clients are not served, while the heir serves them")
	}
	if _, err := r.Apply(parse(r.t, text)); !errors.Is(err, ErrDraining) {
		r.t.Errorf("a new configuration is met by %v, want %v", err, ErrDraining)
	}
	if err := r.stop(); err != nil {
		r.t.Fatal(err)
	}
	h.new.Alone()
	return h
}

// Streams go on where they were, byte for byte: at rest, half-closed, with
// bytes that one side does not take, and in the middle of a line.
func TestHandOverStreams(t *testing.T) {
	t.Parallel()
	const much = 6 << 20
	pattern := make([]byte, much)
	for i := range pattern {
		pattern[i] = byte(i * 7 >> 3)
	}
	received := make(chan []byte, 1)
	release := make(chan struct{})
	releaseAll := sync.OnceFunc(func() { close(release) })
	defer releaseAll()
	echoes, pours := endpoint.Serve(t, endpoint.Echo), endpoint.Serve(t, func(c *net.TCPConn) { _, _ = c.Write(pattern) })
	swallows := endpoint.Serve(t, func(c *net.TCPConn) {
		<-release
		all, _ := io.ReadAll(c)
		if len(all) == 0 {
			return // a check
		}
		received <- all
		fmt.Fprintln(c, "thanks")
	})
	text := frontendText("echo", anyPort, "tcp", "b") + backendText("b", []string{echoes.Address}) +
		frontendText("mcp", "127.0.0.2:0", "mcp", "b") +
		frontendText("pour", "127.0.0.3:0", "tcp", "p") + backendText("p", []string{pours.Address}) +
		frontendText("swallow", "127.0.0.4:0", "tcp", "s") + backendText("s", []string{swallows.Address})
	r := predecessor(t, text)
	idle, half, line := dial(t, r.address("echo")), dial(t, r.address("swallow")), dial(t, r.address("mcp"))
	slow := dial(t, r.address("pour"))
	idle.Ask("hello")
	line.Ask("one")
	line.Say("tw")
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = half.Write(pattern)
		_ = half.CloseWrite()
	})
	r.eventually("both bulks stand still", func() bool {
		shown := r.Snapshot()
		return shown.Frontends[2].Traffic.BytesOut > 1<<16 && shown.Frontends[3].Traffic.BytesIn > 1<<16
	})
	h := r
	for range 3 {
		h = h.succeed(text)
	}
	t.Cleanup(func() { _ = h.stop() })
	idle.Ask("still here")
	line.Say("o\n")
	if answer, _ := line.Reader.ReadString('\n'); answer != "two\n" {
		t.Errorf("the line that was cut comes back as %q", answer)
	}
	if n := h.frontend("mcp").Traffic.MessagesIn; n != 2 {
		t.Errorf("%d messages are counted, want 2", n)
	}
	if got, err := io.ReadAll(slow.Reader); err != nil || !bytes.Equal(got, pattern) {
		t.Errorf("the slow client got %d bytes, %v; or others", len(got), err)
	}
	releaseAll()
	if got := <-received; !bytes.Equal(got, pattern) {
		t.Errorf("the slow server got %d bytes, or others", len(got))
	}
	if answer, err := half.Reader.ReadString('\n'); answer != "thanks\n" {
		t.Errorf("the half-closed client got %q, %v", answer, err)
	}
	sending.Wait()
	for _, c := range []*client{idle, half, line, slow} {
		c.Close()
	}
	h.empty()
}

// A bulk in full flow goes through process after process, and arrives whole.
func TestHandOverInFullFlow(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	r := predecessor(t, text)
	c := dial(t, r.address("f"))
	stop := make(chan struct{})
	var sent, got [sha256.Size]byte
	var working sync.WaitGroup
	working.Go(func() {
		sum, p := sha256.New(), make([]byte, 200_000)
		random := rand.New(rand.NewPCG(1, 2))
		for running := true; running; {
			select {
			case <-stop:
				running = false
			default:
			}
			for i := range p {
				p[i] = byte(random.Uint32())
			}
			if _, err := c.Write(p); err != nil {
				t.Errorf("sending: %v", err)
				return
			}
			sum.Write(p)
		}
		_ = c.CloseWrite()
		sum.Sum(sent[:0])
	})
	working.Go(func() {
		sum := sha256.New()
		if _, err := io.Copy(sum, c.Reader); err != nil {
			t.Errorf("receiving: %v", err)
		}
		sum.Sum(got[:0])
	})
	h := r
	for range 12 {
		before := h.frontend("f").Traffic.BytesOut
		h.eventually("bytes flow", func() bool { return h.frontend("f").Traffic.BytesOut > before+1<<20 })
		h = h.succeed(text)
	}
	t.Cleanup(h.end)
	close(stop)
	working.Wait()
	if sent != got {
		t.Error("what came back is not what was sent")
	}
}

// The new process holds everybody to the limits, those counted who are still
// with the one before.
func TestHandOverKeepsLimits(t *testing.T) {
	t.Parallel()
	slow := make(chan struct{})
	s := endpoint.Serve(t, func(c *net.TCPConn) {
		request, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		if request.URL.Path == "/slow" {
			<-slow
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})
	answerAll := sync.OnceFunc(func() { close(slow) })
	defer answerAll()
	text := "[global]\nmaxconn = 3\n[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\nmax_connections = 10\nban_after = 0\n" +
		frontendText("f", anyPort, "http", "b") + "[backend.b]\n[[backend.b.server]]\nname = 's1'\nhttp = '" + s.Address + "'\nmaxconn = 2\n"
	r := predecessor(t, text)
	get := func(path string) *client {
		c := dial(t, r.address("f"))
		c.Say("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
		return c
	}
	first := get("/slow")
	r.eventually("it is under way", func() bool { return r.server("s1").Connections.Current == 1 })
	h := r.heir(text)
	if n := h.server("s1").Connections.Current; n != 1 {
		t.Errorf("%d slots are taken in the new process, want the one of the old", n)
	}
	r.give(h)
	if n := r.Connections(); n != 1 {
		t.Errorf("%d clients stay, want the one whose request is under way", n)
	}
	second, third := get("/slow"), get("/slow")
	h.eventually("one more is under way, and one waits", func() bool {
		return h.server("s1").Connections.Current == 2 && h.Snapshot().Backends[0].QueueCurrent == 1
	})
	fourth := dial(t, r.address("f")) // the fourth client of three
	fourth.silent()
	if n := h.Connections(); n != 2 {
		t.Errorf("the new process has %d clients, want 2: one is in the old", n)
	}
	answerAll()
	for _, c := range []*client{first, second, third} {
		response, err := http.ReadResponse(c.Reader, nil)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("answer: %v, %v", response, err)
		}
		_, _ = io.ReadAll(response.Body)
	}
	r.eventually("the last one has moved", func() bool { r.give(h); return r.Connections() == 0 })
	h.new.Alone()
	if n := h.server("s1").Connections.Current; n != 0 {
		t.Errorf("%d slots are taken", n)
	}
	first.Say("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, err := http.ReadResponse(first.Reader, nil); err != nil {
		t.Errorf("the client that moved last is not served: %v", err)
	}
	for _, c := range []*client{first, second, third} {
		c.Close()
	}
	fourth.get("/", "ok") // now it is let in
	fourth.Close()
	r.old.Leave()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	t.Cleanup(h.end)
}

// When the hand-over fails, everybody is served where they were, and those who
// waited are let in.
func TestHandOverFails(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address}) +
		frontendText("m", "127.0.0.2:0", "mcp", "b")
	r := start(t, text)
	var clients []*client
	for i := range 300 {
		c := dial(t, r.address([]string{"f", "m"}[i%2]))
		c.Ask("hello")
		clients = append(clients, c)
	}
	r.old = &handover.Old{Balancer: r.Handover()}
	r.old.Suspend()
	waiting := dial(t, r.address("f"))
	waiting.silent()
	if _, err := r.old.State(); err != nil {
		t.Fatal(err)
	}
	broken, batches := errors.New("broken"), 0
	err := r.old.Move(func(b *handover.Batch) error {
		if batches++; batches < 2 {
			b.Back()
			return nil
		}
		b.Back()
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("Move: %v", err)
	}
	r.old.Resume()
	waiting.Ask("let in")
	for _, c := range append(clients, waiting) {
		c.Ask("still here")
		c.Close()
	}
}

// What the new configuration does not have lives on as after a reload; what has
// another mode there goes on in its own.
func TestHandOverToOtherConfiguration(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	servers := backendText("b", []string{s.Address})
	r := predecessor(t, frontendText("f", anyPort, "tcp", "b")+frontendText("g", "127.0.0.2:0", "tcp", "b")+
		frontendText("m", "127.0.0.3:0", "mcp", "b")+servers)
	all := []*client{dial(t, r.address("g")), dial(t, r.address("f")), dial(t, r.address("m"))}
	for _, c := range all {
		c.Ask("hello")
	}
	h := r.heir(frontendText("f", anyPort, "tcp", "b") + frontendText("m", "127.0.0.3:0", "tcp", "b") + servers)
	r.give(h)
	if n := r.Connections(); n != 0 {
		t.Errorf("%d stay", n)
	}
	for _, c := range all {
		c.Ask("still here")
	}
	if got := h.Snapshot().Leaving.Frontends; len(got) != 1 || got[0].Name != "g" || got[0].Connections != 1 {
		t.Errorf("leaving are %+v", got)
	}
	h.new.Alone()
	h.eventually("the counts have come", func() bool { return h.Snapshot().Process.Connections.Total == 3 })
	for _, c := range all {
		c.Close()
	}
	h.eventually("they have ended", func() bool { return h.Connections() == 0 })
	if n := h.server("s1").Connections.Current; n != 0 {
		t.Errorf("%d slots are taken", n)
	}
	if err := h.stop(); err != nil {
		t.Error(err)
	}
}

// What reloads have taken away moves, too, as often as need be, and is counted
// where it was: who is on a frontend, a backend or a server that is gone, or on
// the old address of one that has another.
func TestHandOverOfWhatIsLeaving(t *testing.T) {
	t.Parallel()
	one, two, three, four := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two")), endpoint.Serve(t, name("three")), endpoint.Serve(t, name("four"))
	web := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	b := func(servers ...string) string { return backendText("b", servers, "balance = 'roundrobin'") }
	f := frontendText("f", anyPort, "tcp", "b")
	r := predecessor(t, f+b(one.Address, two.Address)+frontendText("g", "127.0.0.2:0", "tcp", "c")+backendText("c", []string{three.Address})+
		frontendText("h", "127.0.0.3:0", "http", "d")+strings.ReplaceAll(httpBackend(web), "backend.b", "backend.d"))
	clients := map[string]*client{}
	for _, at := range []string{"f", "f", "g"} {
		c := dial(t, r.address(at))
		clients[c.Ask("?")] = c
	}
	kept := dial(t, r.address("h"))
	kept.get("/", "ok")
	r.engine.Barrier() // it waits for its next request
	text := f + b(four.Address)
	r.apply(text) // s1 has another address, s2 none
	h := r.succeed(text).succeed(text)
	t.Cleanup(func() { _ = h.stop() })
	for who, c := range clients {
		if got := c.Ask("?"); got != who {
			t.Errorf("the client of %s is answered by %s", who, got)
		}
	}
	if n := h.server("s1").Connections.Current; n != 0 {
		t.Errorf("server s1 has %d connections, which are its old address's", n)
	}
	shown := h.Snapshot()
	leaving := map[string]int64{}
	for _, server := range shown.Leaving.Servers {
		leaving[server.Backend+" "+server.Addresses["tcp"]] += server.Connections
	}
	if len(leaving) != 3 || leaving["b "+one.Address] != 1 || leaving["b "+two.Address] != 1 || leaving["c "+three.Address] != 1 {
		t.Errorf("leaving are %+v", shown.Leaving.Servers)
	}
	h.eventually("the counts have come", func() bool { return h.Snapshot().Process.Connections.Total == 4 })
	if len(shown.Leaving.Frontends) != 2 {
		t.Errorf("leaving are %+v", shown.Leaving.Frontends)
	}
	kept.get("/", "ok") // it is told with this answer
	if _, err := kept.Reader.ReadByte(); err != io.EOF {
		t.Errorf("a kept-alive client of a frontend that is gone: %v, want the end", err)
	}
	if who := dial(t, h.address("f")).Ask("?"); who != "four" {
		t.Errorf("a new client reaches %s", who)
	}
	for _, c := range clients {
		c.Close()
	}
	h.eventually("nothing is leaving any more", func() bool {
		shown := h.Snapshot().Leaving
		return len(shown.Servers)+len(shown.Frontends) == 0
	})
}

// A server that is in the new file no more loses its connections where
// on_removed says so; one that a reload took away before has those that it kept.
func TestHandOverRemoves(t *testing.T) {
	t.Parallel()
	one, two, three := endpoint.Serve(t, name("one")), endpoint.Serve(t, name("two")), endpoint.Serve(t, name("three"))
	text := func(policy string, servers ...string) string {
		return frontendText("f", anyPort, "tcp", "b") + "[backend.b]\nbalance = 'roundrobin'\non_removed = '" + policy + "'\n" + strings.Join(servers, "")
	}
	s1, s2, s3 := serverText("b", "s1", one.Address), serverText("b", "s2", two.Address), serverText("b", "s3", three.Address)
	r := predecessor(t, text("keep", s1, s2, s3))
	clients := map[string]*client{}
	for range 3 {
		c := dial(t, r.address("f"))
		clients[c.Ask("?")] = c
	}
	r.apply(text("keep", s2, s3))
	h := r.succeed(text("close", s3))
	t.Cleanup(func() { _ = h.stop() })
	clients["two"].HearReset()
	h.ended("f", "server_removed", 1)
	for _, who := range []string{"one", "three"} {
		if got := clients[who].Ask("?"); got != who {
			t.Errorf("the client of %s is answered by %s", who, got)
		}
		clients[who].Close()
	}
}

// Whoever is to lose the connection to a server that was lost a moment before
// does not get away with it to another process.
func TestHandOverDuringAnEviction(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	r := predecessor(t, text)
	c := dial(t, r.address("f"))
	c.Ask("hello")
	// The loops come to it only after the hand-over has begun.
	begun, looked := make(chan struct{}), make(chan struct{})
	r.disconnector.mu.Lock()
	r.disconnector.passing = true
	r.disconnector.mu.Unlock()
	go func() {
		defer close(looked)
		<-begun
		endpoint.Await(r.connections.closed.Load)
		for range 300 { // turns
			r.engine.Barrier()
		}
		r.disconnector.pass()
	}()
	b := r.backends["b"]
	b.Servers()[0].SetHealth(backend.Down, "test", time.Now())
	close(begun)
	h := r.heir(text)
	t.Cleanup(h.end)
	if n := r.give(h); n != 0 {
		t.Errorf("%d descriptors have moved", n)
	}
	c.HearReset()
	<-looked
	r.old.Leave()
}

// What is known goes along: bans, sticky sources, states, counts.
func TestHandOverState(t *testing.T) {
	t.Parallel()
	a, b := endpoint.Serve(t, name("a")), endpoint.Serve(t, name("b"))
	text := "[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\n" + frontendText("f", anyPort, "mcp", "b") +
		backendText("b", []string{a.Address, b.Address}, "balance = 'source'")
	r := predecessor(t, text)
	r.eventually("the checks have judged", func() bool { return r.server("s1").State == "up" && r.server("s2").State == "up" })
	homes := r.homes(40)
	r.limiter.Ban(netip.MustParseAddr("192.0.2.1"), time.Hour, r.engine.Now())
	before := r.frontend("f")
	since := r.server("s1").Since
	r.eventually("all have gone", func() bool { return r.Connections() == 0 })
	h := r.succeed(text)
	t.Cleanup(func() { _ = h.stop() })
	if s := h.server("s1"); s.State != "up" || !s.Since.Equal(since) {
		t.Errorf("server s1 is %s since %v, want up since %v", s.State, s.Since, since)
	}
	if n := len(h.Snapshot().RateLimit.Bans); n != 1 {
		t.Errorf("%d bans, want 1", n)
	}
	h.eventually("the counts have come", func() bool { return h.frontend("f").Connections.Total == before.Connections.Total })
	if now := h.frontend("f"); now.Traffic != before.Traffic || now.Connections.Peak != before.Connections.Peak {
		t.Errorf("frontend %+v, want %+v", now, before)
	}
	for source, home := range h.homes(40) {
		if homes[source] != home {
			t.Errorf("source %s went to %s, and goes to %s", source, homes[source], home)
		}
	}
}

// HTTP clients go on in the middle of whatever they are at: between requests,
// in a head, in a stream, in a frame.
func TestHandOverHTTP(t *testing.T) {
	t.Parallel()
	more := map[string]chan string{"/stream": make(chan string), "/endpoint": make(chan string)}
	s := endpoint.Serve(t, func(c *net.TCPConn) { handOverNode(t.Context(), c, more) })
	text := frontendText("f", anyPort, "http", "b", "compress = ['text/plain']") +
		"[backend.b]\n[[backend.b.server]]\nname = 's1'\nhttp = '" + s.Address + "'\n"
	r := predecessor(t, text)
	at := r.address("f")
	kept, head, stream, endpoint, socket := dial(t, at), dial(t, at), dial(t, at), dial(t, at), dial(t, at)
	kept.get("/", "ok")
	head.Say("GET / HTTP/1.1\r\nHo")
	// One stream passes as it comes. Of the other the first event is looked at:
	// it may be the endpoint of the deprecated transport.
	stream.Say("GET /stream HTTP/1.1\r\nHost: h\r\nMcp-Session-Id: x\r\n\r\n")
	stream.skipHead()
	more["/stream"] <- "6\r\nda" // in the middle of a chunk
	hear(t, stream.Reader, "6\r\nda")
	endpoint.Say("GET /endpoint HTTP/1.1\r\nHost: h\r\n\r\n")
	endpoint.skipHead()
	more["/endpoint"] <- "1a\r\nevent: endpoint\ndata: /m?s" // in the middle of the event
	socket.Say("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	socket.skipHead()
	frame := "\x81\x85\x00\x00\x00\x00hello" // text, masked by zeros
	socket.Say(frame[:7])
	hear(t, socket.Reader, frame[:7])

	h := r.succeed(text).succeed(text)
	t.Cleanup(func() { _ = h.stop() })
	kept.get("/", "ok")
	head.Say("st: h\r\n\r\n")
	head.expect("ok")
	more["/stream"] <- "taxy\r\n2\r\nz"
	hear(t, stream.Reader, "taxy\r\n2\r\nz")
	more["/stream"] <- "z\r\n0\r\n\r\n"
	hear(t, stream.Reader, "z\r\n0\r\n\r\n")
	stream.get("/", "ok")
	more["/endpoint"] <- "\r\n8\r\nessionId\r\n4\r\n=1\n\n\r\n0\r\n\r\n"
	body, err := io.ReadAll(httputil.NewChunkedReader(endpoint.Reader))
	if event := regexp.MustCompile(`^event: endpoint\ndata: /m\?sessionId=1\.\w{8}\n\n$`); err != nil || !event.Match(body) {
		t.Errorf("the endpoint is told as %q, %v", body, err)
	}
	socket.Say(frame[7:] + "\x81\x80\x00\x00\x00\x00")
	hear(t, socket.Reader, frame[7:]+"\x81\x80\x00\x00\x00\x00")
	h.eventually("requests and frames are counted", func() bool { return h.frontend("f").Traffic.MessagesIn == 7+2 })
	for _, c := range []*client{kept, head, stream, endpoint, socket} {
		c.Close()
	}
	h.empty()
}

// handOverNode answers "ok", streams what it is told to, and echoes WebSocket
// bytes.
func handOverNode(over context.Context, c *net.TCPConn, more map[string]chan string) {
	reader := bufio.NewReader(c)
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		switch path := request.URL.Path; path {
		case "/stream", "/endpoint":
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
			for text := ""; !strings.HasSuffix(text, "0\r\n\r\n"); {
				select {
				case text = <-more[path]:
				case <-over.Done():
					return
				}
				fmt.Fprint(c, text)
			}
		case "/ws":
			fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
			_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{reader})
			return
		default:
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}
}

// skipHead reads the head of an answer.
func (c *client) skipHead() {
	c.Helper()
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = c.Reader.ReadString('\n'); err != nil {
			c.Fatal(err)
		}
	}
}

// get asks for a page.
func (c *client) get(path, want string) {
	c.Helper()
	c.Say("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
	c.expect(want)
}

// expect wants an answer.
func (c *client) expect(want string) {
	c.Helper()
	response, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		c.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != want {
		c.Fatalf("the answer is %q, %v; want %q", body, err, want)
	}
}

// hear wants these bytes next.
func hear(t *testing.T, from io.Reader, want string) {
	t.Helper()
	p := make([]byte, len(want))
	if n, err := io.ReadFull(from, p); err != nil || string(p) != want {
		t.Fatalf("received %q, %v; want %q", p[:n], err, want)
	}
}

// Connections with TLS stay, and go on: streams to their end, clients between
// two requests until they were answered or are told to go. A server's limit
// keeps room for what they still ask.
func TestHandOverLeavesTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	lines := endpoint.Serve(t, endpoint.Echo)
	web := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	text := frontendText("f", anyPort, "http", "b", a.usual()) + httpBackend(web) + "maxconn = 1\n" +
		frontendText("s", "127.0.0.2:0", "tcp", "l", a.usual()) + backendText("l", []string{lines.Address})
	r := predecessor(t, text)
	plainly := dial(t, r.address("f")) // no TLS at all
	plainly.Say("GET / HTTP/1.1\r\n\r\n")
	_, _ = io.ReadAll(plainly)
	stream, asks, idle := dialTLS(t, r.address("s"), a.client()), dialTLS(t, r.address("f"), a.client()), dialTLS(t, r.address("f"), a.client())
	checkLine(t, stream)
	for _, c := range []*tls.Conn{asks, idle} {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		wantAnswer(t, c, "ok")
	}
	h := r.heir(text)
	if moved := r.give(h); moved != 0 || r.Connections() != 3 {
		t.Errorf("%d have moved, %d are left; want all three", moved, r.Connections())
	}
	if n := h.server("s1").Connections.Current; n != 1 {
		t.Errorf("the new process has %d slots taken, want the one kept back", n)
	}
	h.eventually("handshakes are counted", func() bool {
		counted := h.frontend("f").TLS
		return counted.Handshakes["full"] == 2 && counted.Versions["1.3"] == 2 && counted.Failed["not_tls"] == 1 && h.frontend("s").TLS.Handshakes["full"] == 1
	})
	fmt.Fprint(asks, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	wantAnswer(t, asks, "ok")
	checkLine(t, stream)
	r.old.Leave()
	r.eventually("those who wait for nothing have gone", func() bool { r.give(h); return r.Connections() == 1 })
	for _, c := range []*tls.Conn{asks, idle} {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a client that waits for nothing: %v, want the end", err)
		}
	}
	if n := h.server("s1").Connections.Current; n != 0 {
		t.Errorf("%d slots are still kept back", n)
	}
	checkLine(t, stream)
	stream.Close()
	r.eventually("the stream has ended", func() bool { return r.report(h) == 0 })
	h.new.Alone()
	if err := h.stop(); err != nil {
		t.Error(err)
	}
}
