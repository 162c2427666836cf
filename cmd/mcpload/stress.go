package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mcplb/cmd/internal/cli"
	"mcplb/cmd/mcpload/stress"
)

func stressCommand() *cobra.Command {
	var o stress.Options
	c := &cobra.Command{
		Use: "stress [flags]", Short: "Test a new cluster: formation, scaling, performance, reliability",
		Long: `Test a cluster of four nodes and a balancer, which is started for each test, and
show a table of the results.`,
		Example: "  mcpload stress -size 1000\n  mcpload stress -only reliability",
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.Bin, "bin", "", "the `directory` of mcpcluster, mcpnode and mcplb (default that of mcpload itself)")
	flags.IntVar(&o.Size, "size", 1000, "the number of all `connections`")
	flags.DurationVar(&o.Load, "load", 5*time.Second, "how long each load lasts")
	flags.DurationVar(&o.P99, "p99", 100*time.Millisecond, "the `latency` that 99% of the answers must not exceed")
	flags.StringVar(&o.Only, "only", "", "only the tests of this `group`: formation, scaling, performance or reliability")
	completeDirectories(c, "bin")
	completeValues(c, "only", "formation", "scaling", "performance", "reliability")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.Validate(); err != nil {
			return cli.Misuse("%w", err)
		}
		passed, err := stress.Run(c.Context(), &o, c.OutOrStdout(), c.ErrOrStderr())
		switch {
		case err != nil:
			return fmt.Errorf("stress: %w", err)
		case c.Context().Err() != nil:
			return exitInterrupted
		case !passed:
			return exitFailed
		}
		return nil
	}
	return c
}
