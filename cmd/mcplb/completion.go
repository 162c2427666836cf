package main

import (
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completionTimeout bounds how long a shell waits for the names of servers.
const completionTimeout = time.Second

// completion completes the arguments of commands with names of the running balancer.
type completion struct{ operator *operator }

// servers completes any number of servers by their names as BACKEND/SERVER.
func (c completion) servers(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names, directive := c.serverNames()
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) }), directive
}

// server completes the first argument as a server.
func (c completion) server(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.serverNames()
}

// backend completes the first argument as a backend.
func (c completion) backend(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.names(func(backend string, _ []string) []string { return []string{backend} })
}

func (c completion) serverNames() ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.names(func(backend string, servers []string) []string {
		for i := range servers {
			servers[i] = backend + "/" + servers[i]
		}
		return servers
	})
}

// names asks the running balancer for its backends and servers, and returns what
// of makes of each backend. Without a balancer there are none.
func (c completion) names(of func(backend string, servers []string) []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c.operator.timeout = completionTimeout
	api, err := c.operator.connect()
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
