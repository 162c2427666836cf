package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"mcplb/cmd/internal/cli"
	"mcplb/proxy/admin"

	"github.com/spf13/cobra"
)

// listOptions are the flags of every command that shows a list.
type listOptions struct {
	json  bool
	limit int
}

func (l *listOptions) define(c *cobra.Command) {
	c.Flags().BoolVar(&l.json, "json", false, "as JSON")
	c.Flags().IntVar(&l.limit, "limit", 100, "the most entries to show, up to 10000")
}

// query asks the API for that many entries.
func (l *listOptions) query() url.Values { return url.Values{"limit": {strconv.Itoa(l.limit)}} }

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func (o *operator) connectionsCommand() *cobra.Command {
	var list listOptions
	var client string
	c := o.remote(&cobra.Command{
		Use: "connections [flags] [BACKEND/SERVER]", Short: "List clients' connections", Args: cli.Args(0, 1),
		Example:           "  mcplb connections\n  mcplb connections nodes/node1 -client 192.0.2.7",
		ValidArgsFunction: completion{o}.server,
	}, func(args []string) error { return o.showConnections(args, &list, client) })
	list.define(c)
	c.Flags().StringVar(&client, "client", "", "only connections of this client `ADDRESS`, or of all of a CIDR")
	return c
}

func (o *operator) showConnections(args []string, options *listOptions, client string) error {
	query := options.query()
	if len(args) == 1 {
		backend, server, err := o.findServer(args[0])
		if err != nil {
			return err
		}
		query.Set("backend", backend)
		query.Set("server", server)
	}
	if client != "" {
		query.Set("client", client)
	}
	var list admin.ConnectionList
	if err := o.api.do(http.MethodGet, "/api/v1/connections?"+query.Encode(), nil, &list); err != nil {
		return err
	}
	if options.json {
		return writeJSON(o.stdout, list)
	}
	table := newTable(o.stdout)
	fmt.Fprintln(table, "ID\tCLIENT\tFRONTEND\tSERVER\tSTATE\tIDLE\tREQUESTS")
	for _, c := range list.Connections {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", c.ID, clientOf(&c), c.Frontend, serverColumn(&c), c.State, shortly(c.IdleSeconds), c.Requests)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(o.stdout, "%d of %d connections\n", len(list.Connections), list.Total)
	return nil
}

// serverColumn is the server, or "-" for a client that has none yet.
func serverColumn(c *admin.Connection) string {
	if c.Server == "" {
		return "-"
	}
	return c.Backend + "/" + c.Server
}

// clientOf is the client, and the proxy that it came over.
func clientOf(c *admin.Connection) string {
	if c.Proxy == "" {
		return c.Client
	}
	return c.Client + " via " + c.Proxy
}

func shortly(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

func (o *operator) bansCommand() *cobra.Command {
	var list listOptions
	c := o.remote(&cobra.Command{
		Use: "bans [flags]", Short: "List banned sources",
		Example: "  mcplb bans\n  mcplb bans -limit 10000 -json", ValidArgsFunction: cobra.NoFileCompletions,
	}, func([]string) error { return o.showBans(&list) })
	list.define(c)
	return c
}

func (o *operator) showBans(options *listOptions) error {
	var list admin.BanList
	if err := o.api.do(http.MethodGet, "/api/v1/bans?"+options.query().Encode(), nil, &list); err != nil {
		return err
	}
	if options.json {
		return writeJSON(o.stdout, list)
	}
	table := newTable(o.stdout)
	fmt.Fprintln(table, "SOURCE\tREASON\tREMAINING")
	for _, b := range list.Bans {
		fmt.Fprintf(table, "%s\t%s\t%s\n", b.Source, b.Reason, remaining(&b))
	}
	return table.Flush()
}

// remaining is how long a ban will last.
func remaining(b *admin.Ban) string {
	if b.RemainingSeconds > 0 {
		return shortly(b.RemainingSeconds)
	}
	return "until it is lifted"
}

func (o *operator) stickyCommand() *cobra.Command {
	var list listOptions
	var source string
	c := o.remote(&cobra.Command{
		Use: "sticky [flags] BACKEND", Short: "Show which server each source is assigned to", Args: cli.Args(1, 1),
		Example: "  mcplb sticky nodes\n  mcplb sticky nodes -source 192.0.2.7", ValidArgsFunction: completion{o}.backend,
	}, func(args []string) error { return o.showSticky(args[0], &list, source) })
	list.define(c)
	c.Flags().StringVar(&source, "source", "", "only this source `ADDRESS`")
	return c
}

func (o *operator) showSticky(backend string, options *listOptions, source string) error {
	if backend == "" {
		return cli.Misuse("name a backend, such as nodes, not \"\"")
	}
	query := options.query()
	if source != "" {
		query.Set("source", source)
	}
	var list admin.StickyList
	if err := o.api.do(http.MethodGet, "/api/v1/backends/"+url.PathEscape(backend)+"/sticky?"+query.Encode(), nil, &list); err != nil {
		return err
	}
	if options.json {
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
