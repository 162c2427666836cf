package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options holds the command line's values.
type options struct {
	mcplb string         // the balancer's binary
	cache string         // where the suites are installed
	keep  string         // where to keep logs and results; "" = do not keep them
	only  *regexp.Regexp // the suites to run, by name
	modes []mode         // how mcplb is reached
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "conformance: %v\n", err)
		return 2
	}
	ok, err := runSuites(ctx, opts, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "conformance: %v\n", err)
		return 1
	}
	if !ok {
		return 1
	}
	return 0
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var opts options
	var only, modes string
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.mcplb, "mcplb", filepath.Join("bin", "mcplb"), "the balancer's binary, a `file`")
	flags.StringVar(&opts.cache, "cache", "", "install the suites in this `directory` (default mcplb-conformance in the user's cache)")
	flags.StringVar(&opts.keep, "keep", "", "keep logs and results in this `directory`")
	flags.StringVar(&only, "only", "", "run the suites whose names match this `expression`")
	flags.StringVar(&modes, "mode", "plain", "how mcplb is reached: `plain`, tls, h2, several divided by commas, or all")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q; see -h", flags.Arg(0))
	}
	if opts.cache == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return opts, fmt.Errorf("find the user's cache: %w; name a directory with -cache", err)
		}
		opts.cache = filepath.Join(cache, "mcplb-conformance")
	}
	var err error
	if opts.modes, err = parseModes(modes); err != nil {
		return opts, fmt.Errorf("-mode: %w", err)
	}
	if opts.only, err = regexp.Compile(only); err != nil {
		return opts, fmt.Errorf("-only: %w", err)
	}
	return opts, absolute(&opts.mcplb, &opts.cache, &opts.keep)
}

// absolute makes paths absolute, for processes in other directories; "" stays.
func absolute(paths ...*string) error {
	for _, path := range paths {
		if *path == "" {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	return nil
}
