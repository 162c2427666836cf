package run

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The time at which a server came or went is the balancer's, where its clock
// may be used.
func TestAwaitServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		since time.Duration // as the balancer reports it, from now
		used  bool
	}{
		"while it is asked": {-time.Millisecond, true},
		"before":            {-time.Hour, false},
		"in the future":     {time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			var asked atomic.Int32
			var reported atomic.Pointer[time.Time]
			balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n := asked.Add(1)
				since := time.Now().Add(c.since)
				if n == 1 {
					http.Error(w, "busy", http.StatusServiceUnavailable)
					return
				}
				if n == 3 {
					reported.Store(&since)
				}
				fmt.Fprintf(w, `{"backends":[{"servers":[{"name":"a","usable":true,"since":%[1]q},{"name":"b","usable":%[2]t,"since":%[1]q}]}]}`,
					since.Format(time.RFC3339Nano), n < 3)
			}))
			defer balancer.Close()
			since, ok := AwaitServer(t.Context(), strings.TrimPrefix(balancer.URL, "http://"), "b", false)
			if !ok || asked.Load() != 3 {
				t.Fatalf("%v after %d answers, want true after the third", ok, asked.Load())
			}
			if since.Equal(*reported.Load()) != c.used {
				t.Errorf("since %v, the balancer reported %v", since, *reported.Load())
			}
			if since.Before(begin) || since.After(time.Now()) {
				t.Errorf("since %v, asked from %v", since, begin)
			}
		})
	}
}

// A server that the balancer does not have is awaited until the context ends.
func TestAwaitServerUnknown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"backends":[{"servers":[{"name":"a","usable":true}]}]}`)
		cancel()
	}))
	defer balancer.Close()
	if since, ok := AwaitServer(ctx, strings.TrimPrefix(balancer.URL, "http://"), "b", false); ok {
		t.Errorf("a server that the balancer does not have is not usable since %v", since)
	}
}
