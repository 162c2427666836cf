package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mcplb/cmd/internal/cli"
	"mcplb/proxy/admin"

	"github.com/spf13/cobra"
)

// drainWait is what drain -wait waits for, and how long.
type drainWait struct {
	on   bool
	most time.Duration // 0 = as long as it takes
}

func (o *operator) drainCommand() *cobra.Command {
	var wait drainWait
	c := o.adminCommand(admin.AdminDrain, &cobra.Command{
		Use: "drain [flags] BACKEND/SERVER...", Short: "Send no new clients to servers",
		Long: `Send no new clients to servers. Connections stay, and sessions and cookies still
lead to the server. The state lasts until ready, through reloads and upgrades.

With -wait, wait until the servers are empty: no connections, streams and WebSockets,
and no MCP session that was used within the backend's session_seen and not deleted.
What is left is printed whenever it changes. Reloads and upgrades of the balancer do
not disturb it.

Exit status: 0 if it is done, 1 if it was refused or a server drains no longer, 2 if
clients are left when -for is over, 3 if no balancer answers.`,
		Example: "  mcplb drain nodes/node1 -reason 'kernel update'\n  mcplb drain node1 node2\n  mcplb drain nodes/node1 -wait -for 10m",
	}, func(args []string) error {
		if !wait.on {
			return nil
		}
		return o.awaitEmpty(args, wait.most)
	})
	c.Flags().BoolVar(&wait.on, "wait", false, "wait until the servers are empty")
	c.Flags().DurationVar(&wait.most, "for", 0, "with -wait: the longest `TIME` to wait, such as 10m; 0 = as long as it takes")
	c.PreRunE = func(*cobra.Command, []string) error {
		switch {
		case wait.most < 0:
			return cli.Misuse("-for must not be negative, and is %v", wait.most)
		case wait.most > 0 && !wait.on:
			return cli.Misuse("-for says how long -wait waits: give -wait, too")
		}
		return nil
	}
	return c
}

const (
	// drainPoll is how often drain -wait asks.
	drainPoll = time.Second
	// drainSilence is how long it asks a balancer that does not answer, which may be
	// starting again.
	drainSilence = time.Minute
)

// awaitEmpty waits until the servers called names are empty, for so long at the most.
func (o *operator) awaitEmpty(names []string, most time.Duration) error {
	waiter := emptyWaiter{operator: o, began: time.Now(), most: most, shown: map[string]string{}}
	for _, name := range names {
		backend, server, err := o.findServer(name)
		if err != nil {
			return err
		}
		waiter.left = append(waiter.left, backend+"/"+server)
	}
	waiter.answered = time.Now()
	for {
		if done, err := waiter.ask(); done || err != nil {
			return err
		}
		time.Sleep(drainPoll)
	}
}

// emptyWaiter is one wait for servers that drain.
type emptyWaiter struct {
	*operator
	began, answered time.Time // answered is when the balancer last did
	most            time.Duration
	left            []string          // BACKEND/SERVER of those that are not empty
	shown           map[string]string // what was last printed about them
}

// ask looks once, and reports whether all servers are empty.
func (w *emptyWaiter) ask() (done bool, err error) {
	w.api.http.CloseIdleConnections() // they may lead to the process before an upgrade
	s, err := w.api.status()
	var unreachable *unreachableError
	switch {
	case errors.As(err, &unreachable):
		if time.Since(w.answered) < drainSilence && !w.over() {
			w.show("balancer", err.Error())
			return false, nil
		}
		return false, err
	case err != nil:
		return false, err
	}
	w.answered = time.Now()
	delete(w.shown, "balancer")
	if err := w.look(s); err != nil || len(w.left) == 0 {
		return true, err
	}
	if w.over() {
		fmt.Fprintf(w.stderr, "mcplb: clients are left after %v: %s\n", w.most, strings.Join(w.left, ", "))
		return true, cli.Status(exitNotEmpty)
	}
	return false, nil
}

// over reports whether the time is over.
func (w *emptyWaiter) over() bool { return w.most > 0 && time.Since(w.began) >= w.most }

// look takes those that are empty off the list.
func (w *emptyWaiter) look(s *admin.Snapshot) error {
	var failed error
	w.left = slices.DeleteFunc(w.left, func(name string) bool {
		server := serverOf(s, name)
		switch {
		case server == nil:
			n := leavingOf(s, name)
			w.show(name, fmt.Sprintf("removed by a reload, %d connections left", n))
			return n == 0
		case !server.Draining() && server.Admin != admin.AdminMaint:
			failed = fmt.Errorf("%s drains no longer: it was put back into service (%s)", name, orDash(server.AdminReason))
			return false
		case !server.Emptied.IsZero(), server.Admin == admin.AdminMaint && server.Connections.Current == 0:
			w.show(name, "empty")
			return true
		}
		if server.Connections.Current+server.Queued+server.Sessions > 0 { // else the balancer is about to find it empty
			w.show(name, server.Left())
		}
		return false
	})
	return failed
}

// show prints what is known of a server, if that has changed.
func (w *emptyWaiter) show(name, text string) {
	if w.shown[name] != text {
		w.shown[name] = text
		fmt.Fprintf(w.stderr, "%s: %s\n", name, text)
	}
}

// serverOf finds BACKEND/SERVER; nil = there is none.
func serverOf(s *admin.Snapshot, name string) *admin.Server {
	for i := range s.Backends {
		b := &s.Backends[i]
		for j := range b.Servers {
			if b.Name+"/"+b.Servers[j].Name == name {
				return &b.Servers[j]
			}
		}
	}
	return nil
}

// leavingOf is how many connections a server still has that a reload removed.
func leavingOf(s *admin.Snapshot, name string) (n int64) {
	for _, l := range s.Leaving.Servers {
		if l.Backend+"/"+l.Name == name {
			n += l.Connections
		}
	}
	return n
}
