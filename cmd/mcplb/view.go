package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"mcplb/proxy/admin"

	"golang.org/x/term"
)

// viewCommands are those that only look.
var viewCommands = []command{
	{name: "status", args: "", short: "show what the balancer does", run: showStatus, flags: func(f *flag.FlagSet, o *operator) {
		f.BoolVar(&o.json, "json", false, "everything, as JSON")
		f.DurationVar(&o.watch, "watch", 0, "again and again, at this `INTERVAL`, such as 2s")
	}, long: "Exit status: 0 healthy, 1 degraded, 2 critical, 3 no balancer answers."},
	{name: "top", args: "", short: "show it live, in the whole terminal", run: top,
		long: "Keys: q ends, arrows and space scroll, s sorts servers by connections, messages, latency or as in the file.\nWithout a terminal it is status."},
	{name: "connections", args: "[BACKEND/SERVER]", short: "list clients' connections", run: showConnections, flags: func(f *flag.FlagSet, o *operator) {
		limitFlag(f, o)
		f.StringVar(&o.client, "client", "", "only those of a client's `ADDRESS`")
	}},
	{name: "bans", args: "", short: "list banned sources", run: showBans, flags: limitFlag},
	{name: "sticky", args: "BACKEND", short: "show which server each source belongs to", run: showSticky, flags: func(f *flag.FlagSet, o *operator) {
		limitFlag(f, o)
		f.StringVar(&o.source, "source", "", "only that of a source's `ADDRESS`")
	}},
}

func limitFlag(f *flag.FlagSet, o *operator) {
	f.BoolVar(&o.json, "json", false, "as JSON")
	f.IntVar(&o.limit, "limit", 100, "how many at most, up to 10000")
}

// showStatus shows it once, or again and again.
func showStatus(o *operator, args []string) error {
	if err := need(args, 0, 0); err != nil {
		return err
	}
	if o.watch <= 0 {
		return o.statusOnce()
	}
	return every(o.watch, func() error {
		if isTerminal(o.stdout) && !o.json {
			fmt.Fprint(o.stdout, "\x1b[H\x1b[2J")
		}
		err := o.statusOnce()
		var status exitStatus
		var unreachable *unreachableError
		switch {
		case errors.As(err, &status):
			err = nil // how it is now is no reason to stop looking
		case errors.As(err, &unreachable):
			fmt.Fprintln(o.stderr, "mcplb:", err)
			err = nil // it may come back
		}
		fmt.Fprintln(o.stdout)
		return err
	})
}

func (o *operator) statusOnce() error {
	if o.json {
		return o.statusJSON()
	}
	s, err := o.api.status()
	if err != nil {
		return err
	}
	writeStatus(o.stdout, s, asInFile)
	return statusOf(s)
}

// statusJSON passes the balancer's answer on, indented.
func (o *operator) statusJSON() error {
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

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// statusOf is the exit status that tells how it is.
func statusOf(s *admin.Snapshot) error {
	switch s.Summary.Level {
	case admin.Critical:
		return exitStatus(exitCritical)
	case admin.Degraded:
		return exitStatus(exitDegraded)
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func showConnections(o *operator, args []string) error {
	if err := need(args, 0, 1); err != nil {
		return err
	}
	query := url.Values{"limit": {strconv.Itoa(o.limit)}}
	if len(args) == 1 {
		if err := filterServer(o, args[0], query); err != nil {
			return err
		}
	}
	if o.client != "" {
		query.Set("client", o.client)
	}
	var list admin.ConnectionList
	if err := o.api.do(http.MethodGet, "/api/v1/connections?"+query.Encode(), nil, &list); err != nil {
		return err
	}
	if o.json {
		return writeJSON(o.stdout, list)
	}
	table := newTable(o.stdout)
	fmt.Fprintln(table, "ID\tCLIENT\tFRONTEND\tSERVER\tSTATE\tIDLE\tREQUESTS")
	for _, c := range list.Connections {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", c.ID, c.Client, c.Frontend, c.Backend+"/"+c.Server, c.State, shortly(c.IdleSeconds), c.Requests)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(o.stdout, "%d of %d connections\n", len(list.Connections), list.Total)
	return nil
}

// filterServer has a query ask for BACKEND/SERVER, or for a server by its name
// alone.
func filterServer(o *operator, name string, query url.Values) error {
	backend, server, err := o.findServer(name)
	if err != nil {
		return err
	}
	query.Set("backend", backend)
	query.Set("server", server)
	return nil
}

func shortly(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

func showBans(o *operator, args []string) error {
	if err := need(args, 0, 0); err != nil {
		return err
	}
	var list admin.BanList
	if err := o.api.do(http.MethodGet, "/api/v1/bans?limit="+strconv.Itoa(o.limit), nil, &list); err != nil {
		return err
	}
	if o.json {
		return writeJSON(o.stdout, list)
	}
	table := newTable(o.stdout)
	fmt.Fprintln(table, "SOURCE\tREASON\tREMAINING")
	for _, b := range list.Bans {
		remaining := "until it is lifted"
		if b.RemainingSeconds > 0 {
			remaining = shortly(b.RemainingSeconds)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", b.Source, b.Reason, remaining)
	}
	return table.Flush()
}

func showSticky(o *operator, args []string) error {
	if err := need(args, 1, 1); err != nil {
		return err
	}
	query := url.Values{"limit": {strconv.Itoa(o.limit)}}
	if o.source != "" {
		query.Set("source", o.source)
	}
	var list admin.StickyList
	if err := o.api.do(http.MethodGet, "/api/v1/backends/"+url.PathEscape(args[0])+"/sticky?"+query.Encode(), nil, &list); err != nil {
		return err
	}
	if o.json {
		return writeJSON(o.stdout, list)
	}
	table := newTable(o.stdout)
	fmt.Fprintln(table, "SOURCE\tSERVER\tREFUGE\tCONNECTIONS\tIDLE")
	for _, e := range list.Entries {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", e.Source, e.Server, orDash(e.Refuge), e.Connections, shortly(e.IdleSeconds))
	}
	return table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
