package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mcplb/conf"
)

// book is a Lookup whose answers a test sets.
type book struct {
	mu        sync.Mutex
	addresses []string
	records   []Record
	err       error
	asked     int
}

func (b *book) set(err error, addresses ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.addresses = err, addresses
}

func (b *book) Addresses(context.Context, string) (found []netip.Addr, ttl time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	for _, a := range b.addresses {
		found = append(found, netip.MustParseAddr(a))
	}
	return found, 10 * time.Second, b.err
}

func (b *book) Services(context.Context, string) ([]Record, time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return b.records, 10 * time.Second, b.err
}

func (b *book) Hold() time.Duration { return 5 * time.Minute }

// A name is asked for when its TTL ends, its answers' order does not matter, and what
// fails is kept for the time of hold; otherwise a name server that restarts takes every
// server out of service.
func TestNameOverTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		b.set(nil, "10.0.0.2", "10.0.0.1", "fd00::1")
		c := &conf.Discover{DNS: "mcp.example.com", Ports: conf.Ports{TCP: 9}, Most: 1000}
		w := Start(NewSource(c, b, time.Time{}), c.Most, State{}, func() {})
		o := observed{w}
		check := func(after time.Duration, want string, updates uint64) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := o.text(); got != want || o.State().Updates != updates {
				t.Errorf("%q, %d updates, want %q, %d", got, o.State().Updates, want, updates)
			}
		}
		all := "10.0.0.1=10.0.0.1:9 10.0.0.2=10.0.0.2:9 fd00::1=[fd00::1]:9"
		check(0, all, 1)
		b.set(nil, "fd00::1", "10.0.0.1", "10.0.0.2")
		check(time.Minute, all, 1)
		if b.asked > 8 {
			t.Errorf("asked %d times in a minute with a TTL of 10 s", b.asked)
		}
		b.set(errors.New("no such host"))
		check(4*time.Minute, all, 1)
		if o.State().Err == nil {
			t.Error("no error is shown")
		}
		check(2*time.Minute, "", 2)
		b.set(nil, "10.0.0.3")
		check(time.Minute, "10.0.0.3=10.0.0.3:9", 3)
		w.Stop()
		<-w.Ended()
	})
}

// An answer over most is cut to the same servers however it is rotated.
func TestMost(t *testing.T) {
	t.Parallel()
	var servers []conf.Server
	for i := range 50 {
		servers = append(servers, conf.Server{Name: fmt.Sprintf("10.0.0.%d", i)})
	}
	first, left := bounded(servers, 20)
	for i := range servers {
		rotated, _ := bounded(slices.Concat(servers[i:], servers[:i], servers[:3]), 20)
		if len(rotated) != 20 || left != 30 || !slices.Equal(first, rotated) {
			t.Fatalf("rotated by %d: %v, %d left, want %v", i, rotated, left, first)
		}
	}
}

// SRV records have a server each, with the record's port where the clients need one.
func TestServiceServers(t *testing.T) {
	t.Parallel()
	b := &book{records: []Record{
		{Target: "B.example.com.", Port: 9002, Priority: 20},
		{Target: "a.example.com", Port: 9001, Priority: 10, Weight: 2000},
		{Target: "a.example.com", Port: 9003, Priority: 10, Weight: 5},
		{Target: ".", Port: 9},
	}}
	c := &conf.Discover{DNS: "_mcp._tcp.example.com", Weight: 70, MaxConn: 8, Ports: conf.Ports{HTTP: 8080}, Endpoints: []conf.Endpoint{conf.EndpointTCP, conf.EndpointHTTP}}
	o := observe(t, c, b, State{})
	var got []string
	for _, s := range o.State().Servers {
		got = append(got, fmt.Sprintf("%s tcp %s http %s weight %d maxconn %d backup %t", s.Name, s.TCP, s.HTTP, s.Weight, s.MaxConn, s.Backup))
	}
	want := `a.example.com:9001 tcp a.example.com:9001 http a.example.com:8080 weight 1000 maxconn 8 backup false
a.example.com:9003 tcp a.example.com:9003 http a.example.com:8080 weight 5 maxconn 8 backup false
b.example.com:9002 tcp b.example.com:9002 http b.example.com:8080 weight 70 maxconn 8 backup true`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
