package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/internal/lateness"
	"mcplb/internal/redistest"
)

// fleetText is [fleet] for a balancer.
func fleetText(url, instance string) string {
	return fmt.Sprintf("[fleet]\nredis = %q\ninstance = %q\n", url, instance)
}

// joined waits until each balancer shows all.
func joined(all ...*running) {
	for _, r := range all {
		r.eventually("every balancer is shown", func() bool {
			f := r.Snapshot().Fleet
			return f != nil && f.Connected && len(f.Balancers) == len(all)
		})
	}
}

// An operator bans a client at one balancer, and it gets in at no other, until the ban is
// lifted, at either.
func TestFleetBans(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--requirepass", "do-not-show")
	url := strings.Replace(redis.URL(), "//", "//:do-not-show@", 1)
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	a, b := start(t, fleetText(url, "a")+text), start(t, fleetText(url, "b")+text)
	joined(a, b)
	client := netip.MustParsePrefix("127.0.0.1/32")
	if _, err := a.Ban(client, time.Hour); err != nil {
		t.Fatal(err)
	}
	b.eventually("the ban holds at the other", func() bool { return len(b.Bans(9)) == 1 })
	endpoint.TurnedAway(t, b.address("f"))
	if err := b.Unban(client); err != nil {
		t.Fatal(err)
	}
	a.eventually("it is lifted where it was imposed", func() bool { return len(a.Bans(9)) == 0 })
	dial(t, a.address("f")).Ask("hello")

	shown, err := json.Marshal(a.Snapshot())
	if err != nil || strings.Contains(string(shown), "do-not-show") || !strings.Contains(string(shown), `"instance":"b"`) {
		t.Errorf("the status is %s (%v)", shown, err)
	}
	if changed := a.apply(fleetText(url+"1", "a") + text); strings.Contains(changed, "do-not-show") || !strings.Contains(changed, "fleet.redis") {
		t.Errorf("the reload is described as %s", changed)
	}
	a.apply(text)
	b.eventually("the balancer that shares no more is gone", func() bool { return len(b.Snapshot().Fleet.Balancers) == 1 })
	if f := a.Snapshot().Fleet; f != nil {
		t.Errorf("without fleet.redis the status shows %+v", f)
	}
}

// hold connects from a source and returns the name of the server, while the connection
// stays open.
func (r *running) hold(source string) string {
	r.t.Helper()
	d := net.Dialer{Timeout: endpoint.Patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	c, err := d.Dial("tcp", r.address("f"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(endpoint.Patience))
	fmt.Fprintln(c, "who?")
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	return answer
}

// A source that one balancer displaced, because its server had too much, lands on the
// same server at the other one, which by itself would not displace it.
func TestFleetDisplacedSources(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	one, two := endpoint.Serve(t, name("s1")), endpoint.Serve(t, name("s2"))
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{one.Address, two.Address})
	a, b := start(t, fleetText(redis.URL(), "a")+text), start(t, fleetText(redis.URL(), "b")+text)
	joined(a, b)
	var same []string // sources of server s1
	for i := 1; len(same) < 60; i++ {
		if source := fmt.Sprintf("127.9.%d.%d", i>>8, i&255); a.askFrom(source) == "s1\n" {
			same = append(same, source)
		}
	}
	var displaced []string
	for _, source := range same {
		if a.hold(source) == "s2\n" {
			displaced = append(displaced, source)
		}
	}
	if len(displaced) < 5 {
		t.Fatalf("of 60 sources of one server only %d were displaced", len(displaced))
	}
	b.eventually("the other knows them", func() bool {
		known, err := b.Sticky("b", netip.Addr{}, 1000)
		return err == nil && len(known) == len(displaced)
	})
	for _, source := range displaced {
		if got := b.askFrom(source); got != "s2\n" {
			t.Errorf("%s was displaced to s2, and the other balancer sends it to %s", source, got)
		}
	}
	for _, source := range same {
		if got := b.askFrom(source); got != "s1\n" && !strings.Contains(strings.Join(displaced, " ")+" ", source+" ") {
			t.Errorf("%s belongs to s1, and the other balancer sends it to %s", source, got)
		}
	}
}

// flood sends messages as fast as they are taken, until stop.
func (r *running) flood(group *sync.WaitGroup, stop <-chan struct{}) {
	c := dial(r.t, r.address("f"))
	_ = c.SetDeadline(time.Time{})
	group.Go(func() { _, _ = io.Copy(io.Discard, c) })
	group.Go(func() {
		<-stop
		c.Close()
	})
	group.Go(func() {
		line := []byte(strings.Repeat("{\"id\":1}\n", 10))
		for {
			if _, err := c.Write(line); err != nil {
				return
			}
		}
	})
}

// A global rate holds over both balancers together, however the load is distributed and
// when that changes.
func TestFleetGlobalRate(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short")
	}
	redis := redistest.Start(t)
	s := endpoint.Serve(t, endpoint.Echo)
	text := "[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\nglobal_message_rate = 1000\n" + frontendText("f", anyPort, "mcp", "b") + backendText("b", []string{s.Address})
	a, b := start(t, fleetText(redis.URL(), "a")+text), start(t, fleetText(redis.URL(), "b")+text)
	joined(a, b)
	passed := func() uint64 { return a.frontend("f").Traffic.MessagesIn + b.frontend("f").Traffic.MessagesIn }
	const length = 5 * time.Second
	late := lateness.Measure(t)
	measure := func(what string) {
		for attempt := 1; ; attempt++ {
			before, begin, lateBefore := passed(), time.Now(), late()
			time.Sleep(length) // the measurement itself
			perSecond := float64(passed()-before) / time.Since(begin).Seconds()
			t.Logf("%s: %.0f messages per second", what, perSecond)
			busy := late() - lateBefore
			switch {
			case perSecond <= 1100 && perSecond >= 850:
				return
			case attempt < 4 && busy > length/50:
				t.Logf("the machine was busy for %v: once more", busy)
			case busy > length/50 && perSecond <= 1500:
				t.Logf("the machine was busy for %v: it stays at that", busy)
				return
			default:
				t.Errorf("%s: %.0f messages per second pass, want 1,000", what, perSecond)
				return
			}
		}
	}
	var group sync.WaitGroup
	stop, stopA := make(chan struct{}), make(chan struct{})
	a.flood(&group, stopA)
	a.eventually("the burst is spent", func() bool { return passed() > 1500 })
	measure("one balancer has all of the load")
	for range 3 {
		b.flood(&group, stop)
	}
	measure("the other gets load, too")
	measure("both have load")
	close(stopA)
	measure("the first has no load any more")
	close(stop)
	group.Wait()
}

// While Redis hangs, loops turn, clients are served, commands work, and a stop does not
// wait for it.
func TestFleetWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	wire := redistest.NewProxy(t, redis.Address())
	s := endpoint.Serve(t, endpoint.Echo)
	text := "[ratelimit]\nglobal_message_rate = 100_000\n" + frontendText("f", anyPort, "mcp", "b") + backendText("b", []string{s.Address})
	a := start(t, fleetText(wire.URL(), "a")+text)
	joined(a)
	wire.Lose(true)
	c := dial(t, a.address("f"))
	a.eventually("the loss shows", func() bool {
		c.Ask("{\"id\":1}")
		f := a.Snapshot().Fleet
		return !f.Connected && f.Error != "" && f.Advice != ""
	})
	if err := a.Turn(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := a.Ban(netip.MustParsePrefix("192.0.2.1/32"), time.Hour); err != nil || len(a.Bans(9)) != 1 {
		t.Errorf("banning: %v", err)
	}
	if got := a.Snapshot().Fleet.Balancers; len(got) != 1 || !got[0].Self {
		t.Errorf("alone it shows %+v", got)
	}
}

// An upgrade changes nothing for the fleet: it is the same balancer, and bans are shared
// from either process.
func TestFleetUpgrade(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	s := endpoint.Serve(t, endpoint.Echo)
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{s.Address})
	other := start(t, fleetText(redis.URL(), "other")+text)
	r := startOld(t, fleetText(redis.URL(), "a")+text)
	joined(r, other)
	c := dial(t, r.address("f"))
	c.Ask("hello")
	if _, err := r.Ban(netip.MustParsePrefix("192.0.2.1/32"), time.Hour); err != nil {
		t.Fatal(err)
	}
	h := r.newProcess(fleetText(redis.URL(), "a") + text)
	r.handOverTo(h)
	c.Ask("hello")
	if _, err := h.Ban(netip.MustParsePrefix("192.0.2.2/32"), time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, one := range []*running{h, other} {
		one.eventually("both bans hold", func() bool { return len(one.Bans(9)) == 2 })
		one.eventually("it is one balancer", func() bool { f := one.Snapshot().Fleet; return len(f.Balancers) == 2 && !f.Conflict })
	}
	if err := h.Unban(netip.MustParsePrefix("192.0.2.1/32")); err != nil {
		t.Fatal(err)
	}
	other.eventually("the lifted ban is lifted", func() bool { return len(other.Bans(9)) == 1 })
	c.Close()
	h.end()
}
