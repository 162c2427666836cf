package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mcplb/cmd/internal/cli"
	"mcplb/proxy/admin"

	"github.com/spf13/cobra"
)

func (o *operator) killCommand() *cobra.Command {
	var client string
	c := o.remote(&cobra.Command{
		Use: "kill [flags] [BACKEND/SERVER] [ID...]", Short: "End clients' connections", Args: cli.Args(0, -1),
		Long: `End clients' connections: all of a server, all of a client (-client), or single
ones by the ID that mcplb connections shows. Clients see a RST.`,
		Example:           "  mcplb kill nodes/node1\n  mcplb kill -client 192.0.2.7\n  mcplb kill 4f2",
		ValidArgsFunction: o.completeServer,
	}, func(args []string) error { return o.killConnections(args, client) })
	c.Flags().StringVar(&client, "client", "", "connections of this client `ADDRESS`, or of all of a CIDR")
	return c
}

func (o *operator) killConnections(args []string, client string) error {
	var ids []string
	query := url.Values{}
	for _, arg := range args {
		if backend, server, isServer := strings.Cut(arg, "/"); isServer {
			query.Set("backend", backend)
			query.Set("server", server)
		} else {
			ids = append(ids, arg)
		}
	}
	if client != "" {
		query.Set("client", client)
	}
	if len(ids) == 0 && len(query) == 0 || len(ids) > 0 && len(query) > 0 {
		return cli.Misuse("name a server, a client, or connections by their IDs")
	}
	ended := 0
	for _, path := range killPaths(ids, query) {
		var killed admin.Killed
		if err := o.api.do(http.MethodDelete, path, nil, &killed); err != nil {
			return err
		}
		ended += killed.Ended
	}
	fmt.Fprintf(o.stdout, "%d connections ended\n", ended)
	return nil
}

func killPaths(ids []string, query url.Values) (paths []string) {
	for _, id := range ids {
		paths = append(paths, "/api/v1/connections/"+url.PathEscape(id))
	}
	if len(query) > 0 {
		paths = append(paths, "/api/v1/connections?"+query.Encode())
	}
	return paths
}

func (o *operator) banCommand() *cobra.Command {
	var duration time.Duration
	c := o.remote(&cobra.Command{
		Use: "ban [flags] ADDRESS|CIDR...", Short: "Refuse new connections of sources", Args: cli.Args(1, -1),
		Long: `Refuse new connections of sources: addresses, or all of a network. Connections
that are open stay: mcplb kill -client ADDRESS|CIDR ends them. For an IPv6 address,
its /64 is banned. Behind a trusted proxy, the client's requests are answered with
403; the proxy itself is never banned.`,
		Example:           "  mcplb ban 192.0.2.7 -for 1h\n  mcplb ban 10.0.0.0/8\n  mcplb ban 2001:db8::7 -for 0",
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(args []string) error { return o.ban(args, duration) })
	c.Flags().DurationVar(&duration, "for", 5*time.Minute, "for how long; 0 = until unban")
	return c
}

func (o *operator) ban(sources []string, duration time.Duration) error {
	for _, source := range sources {
		var done admin.Ban
		if err := o.api.do(http.MethodPost, "/api/v1/bans", admin.BanRequest{Source: source, Seconds: duration.Seconds()}, &done); err != nil {
			return err
		}
		fmt.Fprintf(o.stdout, "%s: banned %s\n", done.Source, banDuration(done.RemainingSeconds))
		if done.Note != "" {
			fmt.Fprintf(o.stdout, "  note: %s\n", done.Note)
		}
	}
	return nil
}

func banDuration(seconds float64) string {
	if seconds == 0 {
		return "until it is lifted"
	}
	return "for " + shortly(seconds)
}

func (o *operator) unbanCommand() *cobra.Command {
	return o.remote(&cobra.Command{
		Use: "unban [flags] ADDRESS|CIDR...", Short: "Lift bans", Args: cli.Args(1, -1),
		Example: "  mcplb unban 192.0.2.7\n  mcplb unban 10.0.0.0/8", ValidArgsFunction: cobra.NoFileCompletions,
	}, o.unban)
}

func (o *operator) unban(sources []string) error {
	for _, source := range sources {
		var done admin.Changed
		if err := o.api.do(http.MethodDelete, "/api/v1/bans/"+source, nil, &done); err != nil {
			return err
		}
		fmt.Fprintf(o.stdout, "%s: no longer banned\n", source)
	}
	return nil
}
