package main

import (
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completionTimeout bounds how long a shell waits for the names of servers.
const completionTimeout = time.Second

// completeServers completes any number of servers by their names as BACKEND/SERVER.
func (o *operator) completeServers(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names, directive := o.serverNames()
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) }), directive
}

// completeServer completes the first argument as a server.
func (o *operator) completeServer(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return o.serverNames()
}

// completeBackend completes the first argument as a backend.
func (o *operator) completeBackend(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return o.names(func(backend string, _ []string) []string { return []string{backend} })
}

func (o *operator) serverNames() ([]cobra.Completion, cobra.ShellCompDirective) {
	return o.names(func(backend string, servers []string) []string {
		for i := range servers {
			servers[i] = backend + "/" + servers[i]
		}
		return servers
	})
}

// names asks the running balancer for its backends and servers, and returns what
// of makes of each backend. Without a balancer there are none.
func (o *operator) names(of func(backend string, servers []string) []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	o.timeout = completionTimeout
	api, err := o.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	status, err := api.status()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, b := range status.Backends {
		var servers []string
		for _, s := range b.Servers {
			servers = append(servers, s.Name)
		}
		names = append(names, of(b.Name, servers)...)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// fileFlags are the flags whose values are files, which shells complete.
var fileFlags = []string{"config", "token-file", "pid-file"}

// completeFlags keeps shells from completing files for flags that take none.
func completeFlags(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.NoOptDefVal == "" && !slices.Contains(fileFlags, f.Name) {
			_ = c.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions) // the flag exists
		}
	})
}
