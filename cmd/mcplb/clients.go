package main

import (
	"fmt"
	"net/http"
	"net/netip"
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
		Use: "kill [flags] [BACKEND/SERVER...] [ID...]", Short: "End clients' connections", Args: cli.Args(0, -1),
		Long: `End clients' connections: all of servers, all of a client (-client), or single
ones by the ID that mcplb connections shows. Clients see a RST.`,
		Example:           "  mcplb kill nodes/node1\n  mcplb kill -client 192.0.2.7\n  mcplb kill 0-4f2",
		ValidArgsFunction: completion{o}.server,
	}, func(args []string) error { return o.killConnections(args, client) })
	c.Flags().StringVar(&client, "client", "", "connections of this client `ADDRESS`, or of all of a CIDR")
	return c
}

func (o *operator) killConnections(args []string, client string) error {
	paths, err := killPaths(args, client)
	if err != nil {
		return err
	}
	ended := 0
	for _, path := range paths {
		var killed admin.Killed
		if err := o.api.do(http.MethodDelete, path, nil, &killed); err != nil {
			return err
		}
		ended += killed.Ended
	}
	fmt.Fprintf(o.stdout, "%d connections ended\n", ended)
	return nil
}

// killPaths are the requests that end the connections of servers, of a client (of these
// servers, if there are any), or those with IDs.
func killPaths(args []string, client string) (paths []string, err error) {
	ids := 0
	for _, arg := range args {
		backend, server, isServer := strings.Cut(arg, "/")
		if arg == "" {
			return nil, cli.Misuse("name a server as BACKEND/SERVER, or a connection by its ID, not \"\"")
		}
		if !isServer {
			ids++
			paths = append(paths, "/api/v1/connections/"+url.PathEscape(arg))
			continue
		}
		if backend == "" || server == "" {
			return nil, cli.Misuse("name a server as BACKEND/SERVER, such as nodes/node1, not %q", arg)
		}
		query := url.Values{"backend": {backend}, "server": {server}}
		if client != "" {
			query.Set("client", client)
		}
		paths = append(paths, "/api/v1/connections?"+query.Encode())
	}
	if len(paths) == 0 && client != "" {
		paths = append(paths, "/api/v1/connections?"+url.Values{"client": {client}}.Encode())
	}
	if len(paths) == 0 || ids > 0 && (ids < len(paths) || client != "") {
		return nil, cli.Misuse("name a server, a client, or connections by their IDs, and only one kind of them")
	}
	return paths, nil
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
	if duration < 0 {
		return cli.Misuse("-for must not be negative, and is %v: 0 = until mcplb unban", duration)
	}
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

// bannedWithin returns the banned network that contains a source, whose own ban does not
// matter then, or "".
func (o *operator) bannedWithin(source string) (string, error) {
	lifted, err := netip.ParsePrefix(source)
	if err != nil {
		return "", fmt.Errorf("the balancer's answer names no source: %w", err)
	}
	var list admin.BanList
	if err := o.api.do(http.MethodGet, "/api/v1/bans?limit=10000", nil, &list); err != nil {
		return "", err
	}
	for _, ban := range list.Bans {
		network, err := netip.ParsePrefix(ban.Source)
		if err == nil && network.Bits() < lifted.Bits() && network.Contains(lifted.Addr()) {
			return ban.Source, nil
		}
	}
	return "", nil
}

func (o *operator) unban(sources []string) error {
	for _, source := range sources {
		var done admin.Changed
		if err := o.api.do(http.MethodDelete, "/api/v1/bans/"+source, nil, &done); err != nil {
			return err
		}
		within, err := o.bannedWithin(done.Target)
		if err != nil {
			return err
		}
		if within != "" {
			fmt.Fprintf(o.stdout, "%s: no longer banned by itself, but still within %s: mcplb unban %s\n", source, within, within)
			continue
		}
		fmt.Fprintf(o.stdout, "%s: no longer banned\n", source)
	}
	return nil
}
