package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"mcplb/cmd/internal/cli"
	"mcplb/conf"
	"mcplb/proxy/admin"

	"github.com/spf13/cobra"
)

func (o *operator) maintCommand() *cobra.Command {
	return o.adminCommand(admin.AdminMaint, &cobra.Command{
		Use: "maint [flags] BACKEND/SERVER...", Short: "Take servers out of service at once",
		Long: `Take servers out of service at once. No client is sent there, not even by session
or cookie, and the server's connections end unless on_down = "keep".

To spare clients, drain the server first: mcplb drain -wait.`,
		Example: "  mcplb maint nodes/node1 -reason 'broken disk'",
	}, nil)
}

func (o *operator) readyCommand() *cobra.Command {
	return o.adminCommand(admin.AdminReady, &cobra.Command{
		Use: "ready [flags] BACKEND/SERVER...", Short: "Put servers back into service",
		Example: "  mcplb ready nodes/node1",
	}, nil)
}

// adminCommand completes a command that puts servers into an admin state, and then calls
// after, unless that is nil.
func (o *operator) adminCommand(state admin.AdminState, c *cobra.Command, after func(names []string) error) *cobra.Command {
	var reason string
	c.Args = cli.Args(1, -1)
	c.ValidArgsFunction = completion{o}.servers
	c.Flags().StringVar(&reason, "reason", "", "why, for other operators: status shows it")
	return o.remote(c, func(args []string) error {
		for _, name := range args {
			if err := o.change(name, admin.ServerChange{Admin: &state, Reason: reason}); err != nil {
				return err
			}
		}
		if after == nil {
			return nil
		}
		return after(args)
	})
}

func (o *operator) weightCommand() *cobra.Command {
	return o.remote(&cobra.Command{
		Use: "weight [flags] BACKEND/SERVER N|N%", Short: "Set a server's weight, 0 to 1000; 0 = no new clients", Args: cli.Args(2, 2),
		Long: `Set a server's weight, 0 to 1000; 0 = no new clients. N% is relative to the
present weight. It lasts until a reload that changes the weight in the file.`,
		Example:           "  mcplb weight nodes/node1 50\n  mcplb weight nodes/node1 50%",
		ValidArgsFunction: completion{o}.server,
	}, o.setWeight)
}

// mostPercent takes the smallest weight to the greatest.
const mostPercent = 100_000

func (o *operator) setWeight(args []string) error {
	number, relative := strings.CutSuffix(args[1], "%")
	n, err := strconv.Atoi(number)
	if errors.Is(err, strconv.ErrRange) || err == nil && relative && n > mostPercent {
		return cli.Misuse("weight must be from 0 to 1000, not %s", args[1])
	}
	if err != nil {
		return cli.Misuse("a weight is a number, or one with %%, not %q", args[1])
	}
	if relative {
		weight, err := o.weight(args[0])
		if err != nil {
			return err
		}
		n = weight * n / 100
	}
	return o.change(args[0], admin.ServerChange{Weight: &n})
}

// weight is a server's present weight.
func (o *operator) weight(name string) (int, error) {
	status, err := o.api.status()
	if err != nil {
		return 0, err
	}
	backend, server, err := splitServer(name, status)
	if err != nil {
		return 0, err
	}
	for _, b := range status.Backends {
		for _, s := range b.Servers {
			if b.Name == backend && s.Name == server {
				return s.Weight, nil
			}
		}
	}
	return 0, unknownServer(name, status)
}

func (o *operator) maxConnCommand() *cobra.Command {
	return o.remote(&cobra.Command{
		Use: "maxconn [flags] BACKEND/SERVER N", Short: "Set a server's limit of connections; 0 = none", Args: cli.Args(2, 2),
		Long: `Set a server's limit of connections; 0 = none. A server with more connections than
that gets no new ones until enough have ended. It lasts until a reload that changes
maxconn in the file.`,
		Example:           "  mcplb maxconn nodes/node1 500",
		ValidArgsFunction: completion{o}.server,
	}, o.setMaxConn)
}

// mostMaxConn is the greatest limit of connections that the balancer accepts.
const mostMaxConn = 10_000_000

func (o *operator) setMaxConn(args []string) error {
	n, err := strconv.Atoi(args[1])
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && (n < 0 || n > mostMaxConn):
		return cli.Misuse("maxconn must be from 0 (no limit) to %d, not %s", mostMaxConn, args[1])
	case err != nil:
		return cli.Misuse("maxconn is a number, not %q", args[1])
	}
	return o.change(args[0], admin.ServerChange{MaxConn: &n})
}

// change changes one server and prints what is different now.
func (o *operator) change(name string, change admin.ServerChange) error {
	backend, server, err := o.findServer(name)
	if err != nil {
		return err
	}
	path := "/api/v1/backends/" + url.PathEscape(backend) + "/servers/" + url.PathEscape(server)
	var done admin.Changed
	if err := o.api.do(http.MethodPatch, path, change, &done); err != nil {
		return err
	}
	o.printChanges(&done)
	return nil
}

// printChanges prints what is different of a server now.
func (o *operator) printChanges(done *admin.Changed) {
	for _, c := range done.Changes {
		fmt.Fprintf(o.stdout, "%s: %s %s -> %s\n", done.Target, c.What, c.Old, c.New)
	}
	if len(done.Changes) == 0 {
		fmt.Fprintf(o.stdout, "%s: nothing to change, it is so already\n", done.Target)
	}
}

// findServer splits BACKEND/SERVER. A server's name is enough if only one backend
// has a server of that name.
func (o *operator) findServer(name string) (backend, server string, err error) {
	if strings.Contains(name, "/") {
		return splitServer(name, nil) // the balancer says if there is none
	}
	status, err := o.api.status()
	if err != nil {
		return "", "", err
	}
	return splitServer(name, status)
}

// splitServer splits BACKEND/SERVER, or finds the one backend of the status with a
// server of that name.
func splitServer(name string, status *admin.Snapshot) (backend, server string, err error) {
	backend, server, both := strings.Cut(name, "/")
	if both && (backend == "" || server == "") {
		return "", "", cli.Misuse("name a server as BACKEND/SERVER, such as nodes/node1, not %q", name)
	}
	if both {
		return backend, server, nil
	}
	var found []string
	for _, b := range status.Backends {
		for _, s := range b.Servers {
			if s.Name == name {
				found = append(found, b.Name+"/"+name)
			}
		}
	}
	switch len(found) {
	case 1:
		return strings.TrimSuffix(found[0], "/"+name), name, nil
	case 0:
		return "", "", unknownServer(name, status)
	}
	return "", "", fmt.Errorf("several backends have a server %s: write %s", name, strings.Join(found, " or "))
}

// mostNamed is how many servers an error lists.
const mostNamed = 20

// unknownServer says which servers there are, and which was probably meant.
func unknownServer(name string, status *admin.Snapshot) error {
	var all, short []string
	for _, b := range status.Backends {
		if b.Name == name && len(b.Servers) > 0 {
			return fmt.Errorf("%s is a backend: name servers of it, such as %s/%s", name, name, b.Servers[0].Name)
		}
		for _, s := range b.Servers {
			all = append(all, b.Name+"/"+s.Name)
			short = append(short, s.Name)
		}
	}
	list := strings.Join(all[:min(len(all), mostNamed)], ", ")
	if more := len(all) - mostNamed; more > 0 {
		list += fmt.Sprintf(" and %d more (mcplb status shows all)", more)
	}
	meant := conf.DidYouMean(name, short)
	if meant == "" {
		meant = conf.DidYouMean(name, all)
	}
	return fmt.Errorf("there is no server %q; there is %s%s", name, list, meant)
}
