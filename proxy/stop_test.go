package proxy

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/internal/nameserver"
	"mcplb/proxy/admin"
)

// started starts a balancer that the test itself stops.
func started(t *testing.T, text string) *running {
	t.Helper()
	p, err := Start(parse(t, text), options())
	if err != nil {
		t.Fatal(err)
	}
	return &running{Proxy: p, t: t}
}

func TestStopOfAnIdleOne(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := started(t, frontendText("f", anyPort, "tcp", "b")+backendText("b", []string{s.Address}))
	if err := r.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Errorf("stopping again: %v", err)
	}
}

// A draining balancer serves the present clients, accepts no new ones, and ends with
// the last.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	r := started(t, text)
	address := r.address("f")
	c := dial(t, address)
	c.Ask("hello")
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	r.eventually("it drains", func() bool { return r.Snapshot().Process.Draining })
	if state := r.frontend("f").State; state != admin.FrontendDraining {
		t.Errorf("the frontend is %s", state)
	}
	r.eventually("no client is accepted any more", func() bool {
		late, err := net.Dial("tcp", address)
		if err == nil {
			late.Close()
		}
		return err != nil
	})
	if _, err := r.Apply(parse(t, text)); !errors.Is(err, ErrDraining) {
		t.Errorf("a new configuration: %v, want %v", err, ErrDraining)
	}
	c.Ask("still here")
	select {
	case err := <-stopped:
		t.Fatalf("it has stopped with a client connected: %v", err)
	default:
	}
	c.Close()
	if err := endpoint.Receive(t, stopped); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

// Clients that take too long to drain are cut off, in whatever state they are.
func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := started(t, frontendText("f", anyPort, "tcp", "b")+
		frontendText("m", "127.0.0.2:0", "mcp", "b", "max_message = 100")+
		frontendText("p", "127.0.0.3:0", "tcp", "b", "accept_proxy = true", `trusted_proxies = ["127.0.0.0/8"]`)+
		frontendText("q", "127.0.0.4:0", "tcp", "hole")+
		backendText("b", nil)+serverText("b", "s1", s.Address, "maxconn = 2")+
		backendText("hole", []string{endpoint.Blackhole(t)}))
	relaying, lingering := dial(t, r.address("f")), dial(t, r.address("m"))
	relaying.Ask("hello")
	lingering.Ask("hello")
	lingering.Say(strings.Repeat("x", 1000))
	second := dial(t, r.address("f"))
	second.Ask("hello")
	queued := dial(t, r.address("f"))
	header := dial(t, r.address("p"))
	header.Say("PROXY ")
	connecting := dial(t, r.address("q"))
	r.eventually("every client is in its state", func() bool {
		return r.Snapshot().Backends[0].QueueCurrent == 1 && r.frontend("p").Connections.Current == 1 &&
			(r.server("s1").Connections.Current == 2) && r.Connections() >= 5
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the test says so")
	cancel(why)
	err := r.Stop(ctx)
	if !errors.Is(err, why) || !strings.Contains(err.Error(), "connections were cut off") {
		t.Errorf("stopping: %v, want that connections were cut off, and why", err)
	}
	for _, c := range []*client{relaying, second, queued, header, connecting} {
		c.HearReset()
	}
	r.empty()
	if n := r.frontend("f").SessionsEnded["stopped"]; n != 3 {
		t.Errorf("%d clients were counted as cut off, want 3", n)
	}
}

// A second call, while the first waits, cuts the clients off for both.
func TestSecondStop(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := started(t, frontendText("f", anyPort, "tcp", "b")+backendText("b", []string{s.Address}))
	c := dial(t, r.address("f"))
	c.Ask("hello")
	first := make(chan error, 1)
	go func() { first <- r.stop() }()
	r.eventually("it drains", func() bool { return r.Snapshot().Process.Draining })
	at, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := r.Stop(at); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second: %v", err)
	}
	if err := endpoint.Receive(t, first); err != nil {
		t.Errorf("the first: %v", err)
	}
	c.HearReset()
}

// Turn reports a loop that hangs, and one that has stopped.
func TestTurn(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := started(t, frontendText("f", anyPort, "tcp", "b")+backendText("b", []string{s.Address}))
	if err := r.Turn(t.Context()); err != nil {
		t.Errorf("loops that turn: %v", err)
	}
	loops := r.engine.Loops()
	hang := make(chan struct{})
	loops[len(loops)-1].Post(func() { <-hang })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Turn(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a loop hangs: %v", err)
	}
	close(hang)
	if err := r.Turn(t.Context()); err != nil {
		t.Errorf("it turns again: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.Turn(t.Context()); err == nil {
		t.Error("stopped loops turn")
	}
}

// A balancer that is to stop does not wait for the name servers of a reload under way:
// it accepts nobody from the first moment on, and the reload changes nothing any more.
func TestStopDuringSlowReload(t *testing.T) {
	t.Parallel()
	z := nameserver.Serve(t)
	z.Behave("slow.test", nameserver.Behaviour{Drop: []string{"*"}})
	s := endpoint.Serve(t, endpoint.Echo)
	text := resolverText(z) + frontendText("f", anyPort, "tcp", "b") + "[backend.b]\n" + serverText("b", "s1", s.Address)
	r := started(t, text)
	applied := make(chan error, 1)
	go func() {
		_, err := r.Apply(parse(t, text+serverText("b", "s2", "slow.test:1")))
		applied <- err
	}()
	r.eventually("the name server is asked", func() bool { return z.Asked("slow.test", "A") > 0 })
	if err := r.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if err := <-applied; !errors.Is(err, ErrDraining) {
		t.Errorf("the reload: %v", err)
	}
}
