package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"mcplb/cmd/internal/cli"
	"mcplb/proxy/admin"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func (o *operator) statusCommand() *cobra.Command {
	var asJSON, fleet, alive bool
	var watch time.Duration
	var c *cobra.Command
	c = o.remote(&cobra.Command{
		Use: "status [flags]", Short: "Show the state of the balancer",
		Long: `Show the state of the balancer: what needs attention first, then sources that the
limits delay or refuse and those that are banned, frontends, backends and servers.

QUEUE is how many clients wait for a slot: of a backend all, of a server those that
a session or cookie binds to it. SESSIONS are MCP sessions that were used within
session_seen and not deleted; an estimate, where there are thousands. STREAMS and WS are those of a server's connections
that are event streams and WebSockets. H2 is how many streams of HTTP/2 are open at a
frontend, each a request; several share a connection.

With -fleet, show instead the balancers that share through Redis ([fleet] in the
configuration): this balancer tells what it reads there.

With -alive, print nothing and ask only whether the balancer answers, however it is:
for the health check of a container, which must not restart a balancer because its
servers fail.

Exit status: 0 healthy, 1 degraded, 2 critical, 3 no balancer answers.
With -alive: 0 it answers, 3 it does not.`,
		Example:           "  mcplb status\n  mcplb status -watch 2s\n  mcplb status -fleet\n  mcplb status -json -admin 10.0.0.5:8404",
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func([]string) error {
		if c.Flags().Changed("watch") && watch <= 0 {
			return cli.Misuse("-watch must be positive, such as 2s, and is %v", watch)
		}
		if alive {
			_, err := o.api.status()
			return err
		}
		if watch > 0 {
			return o.watchStatus(watch, asJSON, fleet)
		}
		return o.showStatus(asJSON, fleet)
	})
	c.Flags().BoolVar(&asJSON, "json", false, "everything, as JSON")
	c.Flags().BoolVar(&fleet, "fleet", false, "the balancers of the fleet; with -json, their part of the status")
	c.Flags().BoolVar(&alive, "alive", false, "print nothing; the exit status is 0 if the balancer answers")
	c.Flags().DurationVar(&watch, "watch", 0, "show it repeatedly, at this `INTERVAL`, such as 2s")
	c.MarkFlagsMutuallyExclusive("alive", "json")
	c.MarkFlagsMutuallyExclusive("alive", "fleet")
	c.MarkFlagsMutuallyExclusive("alive", "watch")
	return c
}

// watchStatus shows the status at every interval. It ends only with an error that
// waiting does not cure.
func (o *operator) watchStatus(interval time.Duration, asJSON, fleet bool) error {
	return every(interval, func() error {
		if isTerminal(o.stdout) && !asJSON {
			fmt.Fprint(o.stdout, "\x1b[H\x1b[2J")
		}
		err := o.showStatus(asJSON, fleet)
		var status cli.Status
		var unreachable *unreachableError
		switch {
		case errors.As(err, &status):
			err = nil // degraded or critical: keep watching
		case errors.As(err, &unreachable):
			fmt.Fprintln(o.stderr, "mcplb:", err)
			err = nil // it may come back
		}
		fmt.Fprintln(o.stdout)
		return err
	})
}

// showStatus shows the status once.
func (o *operator) showStatus(asJSON, fleet bool) error {
	if fleet {
		return o.showFleet(asJSON)
	}
	if asJSON {
		return o.showStatusJSON()
	}
	s, err := o.api.status()
	if err != nil {
		return err
	}
	writeStatus(o.stdout, s, asInFile)
	return statusOf(s)
}

// showStatusJSON prints the balancer's answer, indented.
func (o *operator) showStatusJSON() error {
	var text json.RawMessage
	if err := o.api.do(http.MethodGet, "/api/v1/status", nil, &text); err != nil {
		return err
	}
	var s admin.Snapshot
	if err := json.Unmarshal(text, &s); err != nil {
		return &unreachableError{o.api.address, err}
	}
	if err := writeJSON(o.stdout, text); err != nil {
		return err
	}
	return statusOf(&s)
}

// showFleet shows the balancers of the fleet.
func (o *operator) showFleet(asJSON bool) error {
	s, err := o.api.status()
	switch {
	case err != nil:
		return err
	case s.Fleet == nil:
		return errors.New("this balancer shares nothing: set fleet.redis in its configuration, and reload (docs/fleet.md)")
	case asJSON:
		return writeJSON(o.stdout, s.Fleet)
	}
	writeClean(o.stdout, func(w io.Writer) { writeFleet(w, s.Fleet) })
	if !s.Fleet.Connected || s.Fleet.Conflict {
		return cli.Status(exitDegraded)
	}
	return nil
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// statusOf is the exit status that reports how the balancer is; nil is healthy.
func statusOf(s *admin.Snapshot) error {
	switch s.Summary.Level {
	case admin.Critical:
		return cli.Status(exitCritical)
	case admin.Degraded:
		return cli.Status(exitDegraded)
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	file, ok := cli.File(w)
	return ok && term.IsTerminal(int(file.Fd()))
}
