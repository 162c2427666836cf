package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"

	"mcplb/cmd/internal/cli"
	"mcplb/conf"
	"mcplb/proxy/admin"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (o *operator) addCommand() *cobra.Command {
	keys := map[string]*pflag.Flag{}
	c := &cobra.Command{
		Use: "add [flags] BACKEND/SERVER", Short: "Add a server, or change one that was added", Args: cli.Args(1, 1),
		Long: `Add a server to a backend, or change one that was added before. The flags are the
keys of [[server]]; a key without a flag has its default. The server stays until
remove, through reloads and upgrades; not through a stop and a new start. If the
file has a server of this name at a reload, that one takes its place.`,
		Example: "  mcplb add nodes/node5 -tcp 10.0.0.5:9000\n  mcplb add nodes/node5 -http 10.0.0.5:8080 -maxconn 500 -weight 50",
	}
	for _, key := range conf.Keys() {
		if key.Section != "[[backend.NAME.server]]" || key.Name == "name" {
			continue
		}
		usage := key.Description
		c.Flags().String(key.Name, "", usage+" (default "+cmp.Or(key.Default, "none")+")")
		keys[key.Name] = c.Flags().Lookup(key.Name)
		keys[key.Name].DefValue = ""
		if key.Default == "false" || key.Default == "true" {
			keys[key.Name].NoOptDefVal = "true"
		}
	}
	return o.remote(c, func(args []string) error { return o.add(args[0], keys) })
}

// add adds a server.
func (o *operator) add(name string, flags map[string]*pflag.Flag) error {
	path, err := serverPath(name)
	if err != nil {
		return err
	}
	keys := admin.ServerKeys{}
	for key, flag := range flags {
		if flag.Changed {
			keys[key] = conf.ServerValue(key, flag.Value.String())
		}
	}
	var done admin.PutServer
	if err := o.api.do(http.MethodPut, path, keys, &done); err != nil {
		return err
	}
	if done.Created {
		fmt.Fprintf(o.stdout, "%s: added\n", done.Target)
		return nil
	}
	o.printChanges(&admin.Changed{Target: done.Target, Changes: done.Changes})
	return nil
}

func (o *operator) removeCommand() *cobra.Command {
	return o.remote(&cobra.Command{
		Use: "remove [flags] BACKEND/SERVER", Short: "Remove a server that was added", Args: cli.Args(1, 1),
		Long: `Remove a server that was added by mcplb add. It gets no new clients; those that it
has stay until they end, or are disconnected if the backend has on_removed = "close".
A server of the file is removed by taking it out of the file, and a reload.`,
		Example:           "  mcplb remove nodes/node5",
		ValidArgsFunction: completion{o}.server,
	}, func(args []string) error {
		path, err := serverPath(args[0])
		if err != nil {
			return err
		}
		var done admin.Changed
		if err := o.api.do(http.MethodDelete, path, nil, &done); err != nil {
			return err
		}
		fmt.Fprintf(o.stdout, "%s: removed\n", done.Target)
		return nil
	})
}

// serverPath is where the API has a server called BACKEND/SERVER.
func serverPath(name string) (string, error) {
	backend, server, err := splitServer(name, &admin.Snapshot{})
	if err != nil {
		return "", cli.Misuse("name the server as BACKEND/SERVER, such as nodes/node5, not %q", name)
	}
	return "/api/v1/backends/" + url.PathEscape(backend) + "/servers/" + url.PathEscape(server), nil
}
