package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mcplb/cmd/internal/cli"
	"mcplb/cmd/mcpload/bench"
)

func benchCommand() *cobra.Command {
	var o bench.Options
	c := &cobra.Command{
		Use: "bench [flags] NAME...", Short: "Run one of five benchmarks, or all, on a new cluster",
		Long: `Measure a cluster of four nodes and a balancer, which is started for each benchmark.
The results are a table and plots in a directory.

` + benchNames(),
		Example: "  mcpload bench -o results all\n  mcpload bench -o new -against results scaling latency",
		Args:    cli.Args(1, -1), ValidArgs: []cobra.Completion{"all"},
	}
	for _, b := range bench.All() {
		c.ValidArgs = append(c.ValidArgs, cobra.CompletionWithDesc(b.Name, b.Summary))
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.Bin, "bin", "", "the `directory` of mcpcluster, mcpnode and mcplb (default that of mcpload itself)")
	flags.StringVarP(&o.Out, "out", "o", "bench", "the `directory` for NAME.csv, NAME.md and the plots")
	flags.StringVar(&o.Against, "against", "", "compare with the results in this `directory`")
	flags.DurationVar(&o.Load, "load", 10*time.Second, "how long the load of each case lasts")
	flags.IntVarP(&o.Clients, "clients", "n", 100_000, "the greatest number of `clients` (and no more than the open-files limit allows)")
	completeDirectories(c, "bin", "out", "against")
	c.RunE = func(c *cobra.Command, args []string) error {
		chosen, err := bench.Choose(args)
		if err != nil {
			return cli.Misuse("%w", err)
		}
		for i := range chosen {
			if err := chosen[i].Run(c.Context(), &o, c.OutOrStdout(), c.ErrOrStderr()); err != nil {
				return fmt.Errorf("bench %s: %w", chosen[i].Name, err)
			}
		}
		return nil
	}
	return c
}

// benchNames lists the benchmarks.
func benchNames() string {
	var b strings.Builder
	b.WriteString("Names (or all):\n\n")
	for _, one := range bench.All() {
		fmt.Fprintf(&b, "    %-11s %s\n", one.Name, one.Summary)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
