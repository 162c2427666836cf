package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mcplb/conf"
	"mcplb/internal/output"
)

// What becomes doubtful while the balancer runs is logged then, once: if this fails, an
// operator who never restarts learns of a list that nobody renews, or of a certificate
// that expires, from his clients.
func TestWarner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var log output.Output
		w := &warner{log: slog.New(slog.NewTextHandler(&log, nil)), find: func(c *conf.Config) (found []string) {
			for _, name := range []string{"always", "old", "expired"} {
				due := map[string]time.Duration{"old": 30 * time.Minute, "expired": 26 * time.Hour}[name]
				if time.Since(began) >= due {
					found = append(found, c.Path+" "+name)
				}
			}
			return found
		}}
		w.load(&conf.Config{Path: "first"})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			w.run(ctx)
			close(done)
		}()
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			text := log.String()
			for _, line := range want {
				if n := strings.Count(text, `"`+line+`"`); n != 1 {
					t.Errorf("after %v, %q was logged %d times:\n%s", time.Since(began), line, n, text)
				}
			}
			if n := strings.Count(text, "\n"); n != len(want) {
				t.Errorf("after %v, %d lines:\n%s", time.Since(began), n, text)
			}
		}
		expect(0, "first always")
		expect(warnEvery+time.Second, "first always", "first old")
		expect(26*warnEvery, "first always", "first old", "first expired")
		w.load(&conf.Config{Path: "second"}) // a reload says it again
		expect(30*warnEvery, "first always", "first old", "first expired", "second always", "second old", "second expired")
		cancel()
		<-done
	})
}
