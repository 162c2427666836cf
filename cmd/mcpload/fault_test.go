package main

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
// may be believed.
func TestAwaitServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		since    time.Duration // that the balancer tells, from now on
		believed bool
	}{
		"while it is asked": {-time.Millisecond, true},
		"before":            {-time.Hour, false},
		"in the future":     {time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			var asked atomic.Int32
			var told atomic.Pointer[time.Time]
			balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n := asked.Add(1)
				since := time.Now().Add(c.since)
				if n == 1 {
					http.Error(w, "busy", http.StatusServiceUnavailable)
					return
				}
				if n == 3 {
					told.Store(&since)
				}
				fmt.Fprintf(w, `{"backends":[{"servers":[{"name":"a","usable":true,"since":%[1]q},{"name":"b","usable":%[2]t,"since":%[1]q}]}]}`,
					since.Format(time.RFC3339Nano), n < 3)
			}))
			defer balancer.Close()
			since, ok := awaitServer(t.Context(), strings.TrimPrefix(balancer.URL, "http://"), "b", false)
			if !ok || asked.Load() != 3 {
				t.Fatalf("%v after %d answers, want true after the third", ok, asked.Load())
			}
			if since.Equal(*told.Load()) != c.believed {
				t.Errorf("since %v, the balancer told %v", since, *told.Load())
			}
			if since.Before(begin) || since.After(time.Now()) {
				t.Errorf("since %v, asked from %v on", since, begin)
			}
		})
	}
}

func TestAwaitServerInVain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"backends":[{"servers":[{"name":"a","usable":true}]}]}`)
		cancel()
	}))
	defer balancer.Close()
	if since, ok := awaitServer(ctx, strings.TrimPrefix(balancer.URL, "http://"), "b", false); ok {
		t.Errorf("a server that the balancer does not have is out of rotation since %v", since)
	}
}
