package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"mcplb/cmd/mcpload/bench"
	"mcplb/cmd/mcpload/comparison"
	"mcplb/cmd/mcpload/origin"
	"mcplb/cmd/mcpload/stress"
)

// benchCommand is "mcpload bench".
func benchCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o bench.Options
	flags := flag.NewFlagSet("mcpload bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Bin, "bin", "", "the `directory` of mcpcluster, mcpnode and mcplb (default that of mcpload itself)")
	flags.StringVar(&o.Out, "o", "bench", "the `directory` for NAME.csv, NAME.md and the plots")
	flags.StringVar(&o.Against, "against", "", "compare with the results in this `directory`")
	flags.DurationVar(&o.Load, "load", 10*time.Second, "how `long` the load of each case lasts")
	flags.IntVar(&o.Clients, "n", 100_000, "at most so many `clients` (and no more than the open-files limit allows)")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "mcpload bench measures a cluster of four nodes, which it starts.\n\nUsage: mcpload bench [flags] NAME...\n\nNames (or all):")
		for _, b := range bench.All() {
			fmt.Fprintf(stderr, "  %-11s %s\n", b.Name, b.Summary)
		}
		flags.PrintDefaults()
	}
	var chosen []bench.Benchmark
	if status, ok := parse(flags, args, func() (err error) { chosen, err = bench.Choose(flags.Args()); return err }); !ok {
		return status
	}
	for i := range chosen {
		if err := chosen[i].Run(ctx, &o, stdout, stderr); err != nil {
			fmt.Fprintf(stderr, "mcpload bench %s: %v\n", chosen[i].Name, err)
			return 1
		}
	}
	return 0
}

// peersCommand is "mcpload peers".
func peersCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o comparison.Options
	flags := flag.NewFlagSet("mcpload peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Bin, "bin", "", "the `directory` of mcplb (default that of mcpload itself)")
	flags.StringVar(&o.Out, "o", "bench", "the `directory` for peers.csv, peers.md and the plots")
	flags.StringVar(&o.Against, "against", "", "compare with the results in this `directory`")
	flags.DurationVar(&o.Load, "load", 5*time.Second, "how `long` each load lasts")
	flags.IntVar(&o.Clients, "n", 2000, "the number of `connections` that are held for memory and files")
	flags.IntVar(&o.Rounds, "rounds", 3, "how `often` everything is measured; the medians count")
	flags.StringVar(&o.Instructions, "instructions", "", "a `command` that prints instructions per message as testdata/bench/instructions.py does; they are added to the table")
	if status, ok := parse(flags, args, func() error { return noArguments(flags) }); !ok {
		return status
	}
	if err := comparison.Run(ctx, &o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "mcpload peers:", err)
		return 1
	}
	return 0
}

// stressCommand is "mcpload stress".
func stressCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o stress.Options
	flags := flag.NewFlagSet("mcpload stress", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Bin, "bin", "", "the `directory` of mcpcluster, mcpnode and mcplb (default that of mcpload itself)")
	flags.IntVar(&o.Size, "size", 1000, "the number of all `connections`")
	flags.DurationVar(&o.Load, "load", 5*time.Second, "how `long` each load lasts")
	flags.DurationVar(&o.P99, "p99", 100*time.Millisecond, "the latency that 99% of the answers must not exceed")
	flags.StringVar(&o.Only, "only", "", "only the tests of this `group`: formation, scaling, performance or reliability")
	if status, ok := parse(flags, args, func() error { return errors.Join(noArguments(flags), o.Validate()) }); !ok {
		return status
	}
	passed, err := stress.Run(ctx, &o, stdout, stderr)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "mcpload stress:", err)
		return 1
	case ctx.Err() != nil:
		return exitInterrupted
	case !passed:
		return 1
	}
	return 0
}

// originCommand is "mcpload origin".
func originCommand(ctx context.Context, args []string, _, stderr io.Writer) int {
	var s origin.Server
	flags := flag.NewFlagSet("mcpload origin", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.Name, "name", "origin", "the `name` that whoami returns")
	flags.StringVar(&s.Lines, "tcp", "", "answer lines at this `host:port`")
	flags.StringVar(&s.HTTP, "http", "", "answer POSTs at this `host:port`")
	if status, ok := parse(flags, args, func() error { return noArguments(flags) }); !ok {
		return status
	}
	if err := s.Serve(ctx); err != nil {
		fmt.Fprintln(stderr, "mcpload origin:", err)
		return 1
	}
	return 0
}
