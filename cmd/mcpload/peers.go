package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mcplb/cmd/mcpload/comparison"
)

func peersCommand() *cobra.Command {
	var o comparison.Options
	c := &cobra.Command{
		Use: "peers [flags]", Short: "Measure mcplb beside HAProxy and nginx",
		Long: `Put the same work through mcplb and, if they are installed, HAProxy and nginx, one
thread each, one after the other, and show the cost of each.`,
		Example: "  mcpload peers -o results -rounds 5",
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.Bin, "bin", "", "the `directory` of mcplb (default that of mcpload itself)")
	flags.StringVarP(&o.Out, "out", "o", "bench", "the `directory` for peers.csv, peers.md and the plots")
	flags.StringVar(&o.Against, "against", "", "compare with the results in this `directory`")
	flags.DurationVar(&o.Load, "load", 5*time.Second, "how long each load lasts")
	flags.IntVarP(&o.Clients, "clients", "n", 2000, "the number of `connections` that are held for memory and files")
	flags.IntVar(&o.Rounds, "rounds", 3, "the `number` of times that everything is measured; the medians count")
	flags.StringVar(&o.Instructions, "instructions", "", "a `command` that prints instructions per message as testdata/bench/instructions.py does; they are added to the table")
	completeDirectories(c, "bin", "out", "against")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := comparison.Run(c.Context(), &o, c.OutOrStdout(), c.ErrOrStderr()); err != nil {
			return fmt.Errorf("peers: %w", err)
		}
		return nil
	}
	return c
}
