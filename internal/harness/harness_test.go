package harness

import (
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/expectfail"
	"mcplb/internal/leak"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { leak.Main(m) }

// keeper accepts all clients, and keeps them until they are released.
type keeper struct{ taken chan *reactor.Conn }

func (keeper) MayAccept() bool         { return true }
func (keeper) AcceptFailed(unix.Errno) {}
func (k keeper) Accepted(loop *reactor.Loop, fd int, _ netip.AddrPort) {
	c, _ := loop.Adopt(fd, k)
	k.taken <- c
}
func (keeper) Ready(*reactor.Conn) {}

// started returns a harness, and the keeper of its clients.
func started(t testing.TB, change func(*Setup)) (*Harness, keeper) {
	s := NewSetup(conf.RateLimit{})
	if change != nil {
		change(&s)
	}
	h := Start(t, s)
	k := keeper{taken: make(chan *reactor.Conn, 1)}
	h.Listen("127.0.0.1:0", k, nil)
	return h, k
}

// release closes a connection and ends its session.
func release(h *Harness, c *reactor.Conn) {
	h.On(c.Loop(), func() {
		c.Close()
		c.Loop().AddLoad(-1)
	})
	h.AwaitIdle()
}

// TestCheckEmpty checks that a connection left behind is reported, and
// listeners are not.
func TestCheckEmpty(t *testing.T) {
	t.Parallel()
	h, k := started(t, nil)
	defer h.Stop()
	check := func(t testing.TB) {
		seen := *h
		seen.TB = t
		seen.CheckEmpty()
	}
	if got := expectfail.Failure(t, check); got != "" {
		t.Errorf("an empty harness: %s", got)
	}
	endpoint.Dial(t, h.Address)
	kept := <-k.taken
	if got := expectfail.Failure(t, check); !strings.HasPrefix(got, "left behind: 1 connections on loop ") {
		t.Errorf("one connection left: %q", got)
	}
	release(h, kept)
	if got := expectfail.Failure(t, check); got != "" {
		t.Errorf("an empty harness: %s", got)
	}
}

// TestTime checks that stopped time moves only by Advance.
func TestTime(t *testing.T) {
	t.Parallel()
	h, _ := started(t, (*Setup).StopTime)
	defer h.Stop()
	before := h.Now()
	if now := h.Engine.Now(); now != before {
		t.Errorf("the engine's time is %d, want %d", now, before)
	}
	h.Advance(time.Minute)
	if passed := time.Duration(h.Engine.Now() - before); passed < time.Minute || passed > time.Minute+time.Second {
		t.Errorf("%v have passed, want a minute", passed)
	}
}

// TestListenControl checks that control is called before the socket listens.
func TestListenControl(t *testing.T) {
	t.Parallel()
	h, k := started(t, nil)
	defer h.Stop()
	first, called := h.Address, false
	h.Listen("127.0.0.1:0", k, func(_, _ string, _ syscall.RawConn) error {
		called = true
		return nil
	})
	if !called || h.Address == first {
		t.Errorf("control called: %v, at %s after %s", called, h.Address, first)
	}
}

// TestLines reads a line as it was written.
func TestLines(t *testing.T) {
	t.Parallel()
	h, _ := started(t, nil)
	defer h.Stop()
	if err := os.WriteFile(h.logPath, []byte(`{"client":"192.0.2.1:5","frontend":"f","mcp_method":"ping","status":200,"total_ms":1.5,"bytes_in":7,"reason":"completed"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := h.Lines()
	if len(lines) != 1 {
		t.Fatalf("%+v", lines)
	}
	if l := lines[0]; l.Client != "192.0.2.1:5" || l.Call != "ping" || l.Status != 200 || l.Total != 1.5 || l.BytesIn != 7 || l.Reason != "completed" || l.Queue != nil {
		t.Errorf("%+v", l)
	}
	if !h.Logged() || h.AccessLog.Stats() != (accesslog.Stats{}) {
		t.Errorf("%+v", h.AccessLog.Stats())
	}
	off, _ := started(t, func(s *Setup) { s.LogOff = true })
	defer off.Stop()
	if off.Logged() {
		t.Error("a log that is off counts as on")
	}
}

// TestCounts checks that wrong counts are reported.
func TestCounts(t *testing.T) {
	t.Parallel()
	ended, refused := Counts{"closed": 2, "reset": 0}, Counts{"banned": 1}
	both := func() (Counts, Counts) { return ended, refused }
	for name, c := range map[string]struct {
		check func(testing.TB)
		want  string
	}{
		"sum":            {func(t testing.TB) { CheckSum(t, 3, ended, refused) }, ""},
		"other sum":      {func(t testing.TB) { CheckSum(t, 4, ended, refused) }, "4 sessions have begun, 3 have ended (map[closed:2], map[banned:1])"},
		"ended":          {func(t testing.TB) { Expect(t, both, "closed", 2) }, ""},
		"refused":        {func(t testing.TB) { Expect(t, both, "banned", 1) }, ""},
		"ended too many": {func(t testing.TB) { Expect(t, both, "closed", 1) }, "2 sessions ended by closed, want 1 (all: map[closed:2], map[banned:1])"},
		"lines": {func(t testing.TB) {
			CheckLines(t, "reason", Counts{"closed": 2, "banned": 1, "other": 1}, ended, refused)
		}, ""},
		"fewer lines": {func(t testing.TB) { CheckLines(t, "reason", Counts{"closed": 2}, ended, refused) }, "the access log has 0 lines with reason banned, want 1"},
		"more lines":  {func(t testing.TB) { CheckLines(t, "reason", Counts{"closed": 2, "reset": 1}, ended) }, "the access log has 1 lines with reason reset, want 0"},
	} {
		if got := expectfail.Failure(t, c.check); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestParse checks the configuration of Parse.
func TestParse(t *testing.T) {
	t.Parallel()
	c := Parse(t, "http", "http", []string{"127.0.0.1:1", "127.0.0.1:2"})
	if len(c.Frontends) != 1 || len(c.Backends) != 1 || c.Frontends[0].Mode != conf.ModeHTTP || c.Backends[0].Balance != conf.BalanceRoundRobin ||
		len(c.Backends[0].Servers) != 2 || c.Backends[0].Servers[1].Name != "s2" || c.Backends[0].Servers[1].HTTP != "127.0.0.1:2" ||
		c.RateLimit.ConnectionRate != 0 || c.RateLimit.MessageRate != 0 {
		t.Errorf("%+v", c)
	}
}
