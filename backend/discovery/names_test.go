package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mcplb/conf"
)

// fakeAsker is an Asker that a test controls.
type fakeAsker struct {
	mu      sync.Mutex // guards what follows
	begin   time.Time
	known   map[string]Answer // by host
	failing Kind              // of all look-ups; "" = by known
	slow    time.Duration
	asked   map[string][]string // when, since begin, by host
	changed bool
}

func newFakeAsker() *fakeAsker {
	return &fakeAsker{begin: time.Now(), known: map[string]Answer{}, asked: map[string][]string{}}
}

// set makes an answer: "IP IP ... TTL", or none.
func (a *fakeAsker) set(host, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, host)
	words := strings.Fields(text)
	if len(words) == 0 {
		return
	}
	var answer Answer
	for _, w := range words[:len(words)-1] {
		answer.Addresses = append(answer.Addresses, netip.MustParseAddr(w))
	}
	answer.TTL, _ = time.ParseDuration(words[len(words)-1])
	a.known[host] = answer
}

// change changes what only the test writes.
func (a *fakeAsker) change(by func(*fakeAsker)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	by(a)
}

// times returns when a host was asked for, since begin.
func (a *fakeAsker) times(host string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked[host])
}

func (a *fakeAsker) Apply(conf.Resolver) {}

func (a *fakeAsker) Changed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.changed
	a.changed = false
	return was
}

func (a *fakeAsker) Addresses(ctx context.Context, host string, _ conf.Family) (Answer, error) {
	a.mu.Lock()
	a.asked[host] = append(a.asked[host], time.Since(a.begin).String())
	answer, known, failing, slow := a.known[host], false, a.failing, a.slow
	_, known = a.known[host]
	a.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return Answer{}, failure(NotAsked, "no answer yet")
		}
	}
	switch {
	case failing != "":
		return Answer{}, failure(failing, "%s", failing)
	case !known:
		return Answer{}, failure(NoSuchName, "no such host")
	}
	return answer, nil
}

// names is a Names under test.
type namesFixture struct {
	*Names
	answers *fakeAsker
	mu      sync.Mutex
	changes int // guarded by mu
}

func newNamesFixture(t *testing.T) *namesFixture {
	f := &namesFixture{answers: newFakeAsker()}
	settings := conf.Resolver{MinTTL: time.Second, MaxTTL: time.Minute, Hold: 5 * time.Minute}
	f.Names = NewNames(f.answers, settings, slog.New(slog.DiscardHandler), func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changes++
	})
	t.Cleanup(f.Close)
	return f
}

func (f *namesFixture) want(uses ...Use) {
	f.Want(uses, conf.Resolver{MinTTL: time.Second, MaxTTL: time.Minute, Hold: 5 * time.Minute})
	synctest.Wait()
}

// at checks the address of a use, "" = none, and how often changed was called.
func (f *namesFixture) at(t *testing.T, u Use, want string, changes int) {
	t.Helper()
	synctest.Wait()
	got := ""
	if a := f.Address(u); a.IsValid() {
		got = a.String()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if got != want || f.changes != changes {
		t.Errorf("after %v: at %q after %d changes, want %q after %d", time.Since(f.answers.begin), got, f.changes, want, changes)
	}
}

var node = Use{"b/s1", "node.test", conf.FamilyAny}

// TestNamesFollow looks a name up again when its TTL ends, and moves its servers only
// when their address is not among the answers. Otherwise clients go on to a machine
// that is gone, or change machines at each rotation.
func TestNamesFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newNamesFixture(t)
		f.answers.set("node.test", "10.0.0.1 10.0.0.2 7s")
		f.want(node)
		f.at(t, node, "10.0.0.1", 1)
		f.answers.set("node.test", "10.0.0.0 10.0.0.1 5s")
		time.Sleep(7 * time.Second)
		f.at(t, node, "10.0.0.1", 1)
		f.answers.set("node.test", "10.0.0.9 3s")
		time.Sleep(5 * time.Second)
		f.at(t, node, "10.0.0.9", 2)
		time.Sleep(8 * time.Second)
		if got, want := fmt.Sprint(f.answers.times("node.test")), "[0s 7s 12s 15s 18s]"; got != want {
			t.Errorf("asked at %s, want %s", got, want)
		}
		f.want() // not wanted any more
		time.Sleep(time.Hour)
		if len(f.answers.times("node.test")) != 5 {
			t.Error("a name that nobody wants is looked up")
		}
	})
}

// TestNamesHold keeps an address while look-ups fail, for hold; then there is none.
// Otherwise one lost answer takes a server down, or a server that is gone is never
// noticed.
func TestNamesHold(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{NoSuchName, NoAddress, Timeout, ServerFailure, Unreachable} {
		synctest.Test(t, func(t *testing.T) {
			f := newNamesFixture(t)
			f.answers.set("node.test", "10.0.0.1 10s")
			f.want(node)
			time.Sleep(9 * time.Second)
			f.answers.change(func(a *fakeAsker) { a.failing = kind })
			time.Sleep(2 * time.Second) // it failed after 10 s
			known := f.List()[0]
			if known.Error != string(kind) || known.Kind != kind || time.Until(known.Held).Round(time.Second) != 5*time.Minute-time.Second {
				t.Errorf("held for %v, %q", time.Until(known.Held), known.Error)
			}
			f.want(node) // a reload does not prolong it
			time.Sleep(5*time.Minute - 2*time.Second)
			f.at(t, node, "10.0.0.1", 1)
			time.Sleep(2 * time.Second)
			f.at(t, node, "", 2)
			if reason := f.Reason(node); reason != string(kind) {
				t.Errorf("the reason is %q", reason)
			}
			f.answers.change(func(a *fakeAsker) { a.failing = "" })
			time.Sleep(time.Minute)
			f.at(t, node, "10.0.0.1", 3)
			if known := f.List()[0]; known.Error != "" || !known.Held.IsZero() {
				t.Errorf("it is still failing: %+v", known)
			}
		})
	}
}

// TestNamesBackOff asks for a name that never resolved after 1 s, 2 s and so on, at
// most max_ttl apart, and at once when the hosts file changes.
func TestNamesBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newNamesFixture(t)
		f.want(node)
		time.Sleep(190 * time.Second)
		if got, want := fmt.Sprint(f.answers.times("node.test")), "[0s 1s 3s 7s 15s 31s 1m3s 2m3s 3m3s]"; got != want {
			t.Errorf("asked at %s, want %s", got, want)
		}
		f.at(t, node, "", 1) // the reason is known
		f.answers.set("node.test", "10.0.0.1 1s")
		f.answers.change(func(a *fakeAsker) { a.changed = true })
		time.Sleep(filesPause)
		f.at(t, node, "10.0.0.1", 2)
	})
}

// TestNamesApart lets one of several names hang: the others are looked up in time.
func TestNamesApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newNamesFixture(t)
		f.answers.set("node.test", "10.0.0.1 1s")
		other := Use{"b/s2", "other.test", conf.FamilyAny}
		f.answers.change(func(a *fakeAsker) { a.slow = time.Hour })
		f.want(other)
		f.answers.change(func(a *fakeAsker) { a.slow = 0 })
		f.want(node, other)
		f.at(t, node, "10.0.0.1", 1)
		f.answers.set("node.test", "10.0.0.2 1s")
		time.Sleep(time.Second)
		f.at(t, node, "10.0.0.2", 2)
		f.at(t, other, "", 2)
	})
}

// TestNamesRefresh looks everything up again, waits for it, and moves what must move,
// without a report: the caller looks. What is not answered in time is kept.
func TestNamesRefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newNamesFixture(t)
		settings := conf.Resolver{MinTTL: time.Second, MaxTTL: time.Minute, Hold: 5 * time.Minute}
		f.answers.set("node.test", "10.0.0.1 60s")
		f.Refresh(t.Context(), []Use{node}, settings)
		f.at(t, node, "10.0.0.1", 0)
		f.answers.set("node.test", "10.0.0.2 60s")
		f.Refresh(t.Context(), []Use{node}, settings)
		f.at(t, node, "10.0.0.2", 0)
		f.answers.set("node.test", "10.0.0.3 60s")
		f.answers.change(func(a *fakeAsker) { a.slow = 10 * time.Second })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		f.Refresh(ctx, []Use{node, {"b/s2", "late.test", conf.FamilyAny}}, settings)
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		f.at(t, node, "10.0.0.2", 0)
		if known := f.List()[0]; known.Error != "" {
			t.Errorf("a look-up that was broken off counts as %q", known.Error)
		}
	})
}

// Close ends a Refresh: a process that is to stop does not wait for slow name servers.
func TestNamesRefreshClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newNamesFixture(t)
		f.answers.change(func(a *fakeAsker) { a.slow = time.Hour })
		begin := time.Now()
		time.AfterFunc(time.Second, f.Close)
		f.Refresh(t.Context(), []Use{node, {"b/s2", "late.test", conf.FamilyAny}}, conf.Resolver{MinTTL: time.Second})
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestNamesMissing keeps an IPv6 address while nobody answers for IPv6 addresses.
func TestNamesMissing(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	got := Answer{Addresses: []netip.Addr{v6}}.succeededBy(Answer{Addresses: []netip.Addr{v4}, Missing: conf.FamilyIPv6})
	if want := []netip.Addr{v4, v6}; !slices.Equal(got.Addresses, want) {
		t.Errorf("%v, want %v", got.Addresses, want)
	}
	got = Answer{Addresses: []netip.Addr{v6}}.succeededBy(Answer{Addresses: []netip.Addr{v4}})
	if want := []netip.Addr{v4}; !slices.Equal(got.Addresses, want) {
		t.Errorf("%v, want %v", got.Addresses, want)
	}
}

// TestNamesMove moves a server to another address of its name, where it stays; a
// second server of the name is left alone.
func TestNamesMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newNamesFixture(t)
		f.answers.set("node.test", "10.0.0.1 10.0.0.2 10.0.0.3 5s")
		second := Use{"b/s2", "node.test", conf.FamilyAny}
		f.want(node, second)
		f.at(t, node, "10.0.0.1", 1)
		to := netip.MustParseAddr("10.0.0.2")
		if f.Move(node, netip.MustParseAddr("10.0.0.4")) || !f.Move(node, to) {
			t.Error("moved where there is nothing, or not where there is")
		}
		time.Sleep(time.Minute)
		f.at(t, node, "10.0.0.2", 2)
		f.at(t, second, "10.0.0.1", 2)
		if got := fmt.Sprint(f.Others(node)); got != "[10.0.0.3 10.0.0.1]" {
			t.Errorf("the others are %s", got)
		}
		if n := len(f.answers.times("node.test")); n != 13 {
			t.Errorf("one name of two servers was looked up %d times within a minute, want 13", n)
		}
	})
}

// TestNamesHandover hands names over: the new process has the addresses of the old
// one for as long, unless its own answers say otherwise. Otherwise an upgrade moves
// servers, or takes them down while name servers are away.
func TestNamesHandover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		uses := []Use{}
		old, next := newNamesFixture(t), newNamesFixture(t)
		is := func(u Use, want string) {
			t.Helper()
			synctest.Wait()
			if got := next.Address(u); got.IsValid() != (want != "") || want != "" && got.String() != want {
				t.Errorf("after %v: %s is at %v, want %q", time.Since(next.answers.begin), u.Host, got, want)
			}
		}
		for i, host := range []string{"same", "moved", "failing", "held", "unknown"} {
			uses = append(uses, Use{fmt.Sprintf("b/s%d", i), host, conf.FamilyAny})
		}
		for _, host := range []string{"same", "moved", "failing", "held"} {
			old.answers.set(host, "10.0.0.2 30s")
		}
		old.answers.set("held", "10.0.0.2 10s")
		old.want(uses...)
		old.answers.set("held", "")
		time.Sleep(20 * time.Second) // held for 290 s more
		next.answers.set("same", "10.0.0.1 10.0.0.2 30s")
		next.answers.set("moved", "10.0.0.3 30s")
		next.want(uses...)
		const now = int64(time.Hour)
		next.Restore(old.Handover(now), now)
		old.want()
		is(uses[0], "10.0.0.2")
		is(uses[1], "10.0.0.3")
		is(uses[2], "10.0.0.2")
		is(uses[3], "10.0.0.2")
		is(uses[4], "")
		time.Sleep(289 * time.Second)
		is(uses[3], "10.0.0.2")
		time.Sleep(2 * time.Second)
		is(uses[3], "")
		is(uses[2], "10.0.0.2")
		time.Sleep(10 * time.Second)
		is(uses[2], "")
	})
}
