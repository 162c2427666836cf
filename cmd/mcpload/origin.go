package main

import (
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"mcplb/cmd/mcpload/origin"
)

func originCommand() *cobra.Command {
	var s origin.Server
	c := &cobra.Command{
		Use: "origin [flags]", Short: "Serve MCP with as little as possible behind it",
		Long: `Serve MCP as the leanest server that mcpload's own clients accept, until a signal
ends it: a balancer in front of it is measured with as little as possible beside it.`,
		Example: "  mcpload origin -tcp 127.0.0.1:7000 -http 127.0.0.1:7001",
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&s.Name, "name", "origin", "the `name` that whoami returns")
	flags.StringVar(&s.Lines, "tcp", "", "answer lines at this `host:port`")
	flags.StringVar(&s.HTTP, "http", "", "answer POSTs at this `host:port`")
	c.RunE = func(c *cobra.Command, _ []string) error {
		signal.Ignore(syscall.SIGPIPE) // output whose reader has gone must not end the server
		if err := s.Serve(c.Context()); err != nil {
			return fmt.Errorf("origin: %w", err)
		}
		return nil
	}
	return c
}
