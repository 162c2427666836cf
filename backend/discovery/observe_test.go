package discovery

import (
	"context"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/kubeapi"
)

// observed is a watch under test.
type observed struct{ *Watch }

// observe runs a source until the test ends.
func observe(t *testing.T, c *conf.Discover, lookup Lookup, known State) observed {
	t.Helper()
	if c.Most == 0 {
		c.Most = 1000
	}
	w := Start(NewSource(c, lookup, known.At), c.Most, known, func() {})
	t.Cleanup(func() {
		w.Stop()
		<-w.Ended()
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	w.Wait(ctx)
	return observed{w}
}

// text shows the servers: NAME=TCP, with "!" for one that takes no new clients.
func (o observed) text() string {
	var all []string
	for _, s := range o.State().Servers {
		one := s.Name + "=" + s.TCP
		if s.NoNewClients {
			one += "!"
		}
		all = append(all, one)
	}
	return strings.Join(all, " ")
}

// await waits until the servers are those of want.
func (o observed) await(t *testing.T, want string) {
	t.Helper()
	var got string
	defer func() {
		if t.Failed() {
			t.Logf("last seen %q, error %v", got, o.State().Err)
		}
	}()
	kubeapi.Await(t, want, func() bool { got = o.text(); return got == want })
}

// awaitError waits until there is an error that says part, or none if that is "".
func (o observed) awaitError(t *testing.T, part string) {
	t.Helper()
	kubeapi.Await(t, "error "+part, func() bool {
		err := o.State().Err
		if part == "" {
			return err == nil
		}
		return err != nil && strings.Contains(err.Error(), part)
	})
}
