package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"mcplb/cmd/internal/cli"
	"mcplb/proxy/admin"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (o *operator) clearCommand() *cobra.Command {
	var all bool
	c := o.remote(&cobra.Command{
		Use: "clear [flags]", Short: "Reset peaks, and with -all counters",
		Example: "  mcplb clear\n  mcplb clear -all", ValidArgsFunction: cobra.NoFileCompletions,
	}, func([]string) error { return o.clearCounters(all) })
	c.Flags().BoolVar(&all, "all", false, "counters, too; those of /metrics are never reset")
	return c
}

func (o *operator) clearCounters(all bool) error {
	var done admin.Changed
	if err := o.api.do(http.MethodPost, "/api/v1/counters/clear", admin.ClearRequest{All: all}, &done); err != nil {
		return err
	}
	for _, c := range done.Changes {
		fmt.Fprintf(o.stdout, "%s: %s\n", c.What, c.New)
	}
	return nil
}

func (o *operator) reloadCommand() *cobra.Command {
	return o.remote(&cobra.Command{
		Use: "reload [flags]", Short: "Reload the configuration, as SIGHUP does",
		Long: `Reload the configuration, as SIGHUP does. If the file has mistakes, they are
printed and the present configuration stays in force.`,
		Example: "  mcplb reload", ValidArgsFunction: cobra.NoFileCompletions,
	}, func([]string) error { return o.reload() })
}

func (o *operator) reload() error {
	var done admin.Reloaded
	if err := o.api.do(http.MethodPost, "/api/v1/reload", struct{}{}, &done); err != nil {
		return err
	}
	fmt.Fprintf(o.stdout, "reloaded: %s\n", done.Changes)
	return nil
}

// configFlag adds the flag -c, which may be given several times.
func configFlag(flags *pflag.FlagSet, paths *[]string, usage string) {
	flags.StringArrayVarP(paths, "config", "c", presetConfig(), usage)
}

// presetConfig is the configuration that the environment names, nil if it names none.
func presetConfig() []string {
	if path := os.Getenv("MCPLB_CONFIG"); path != "" {
		return []string{path}
	}
	return nil
}

// configPaths are the files that the flags -c or the argument name, if any do.
func configPaths(c *cobra.Command, flags, args []string) ([]string, error) {
	if len(args) == 0 {
		return flags, nil
	}
	if c.Flags().Changed("config") {
		return nil, cli.Misuse("-c names %q, and %q is an argument: give one file, or all with -c", strings.Join(flags, " "), args[0])
	}
	return args, nil
}

// checkCommand does what the flag -t does.
func (o *operator) checkCommand() *cobra.Command {
	var config []string
	c := &cobra.Command{
		Use: "check [flags] [FILE]", Short: "Check a configuration file", Args: cli.Args(0, 1),
		Long: `Check a configuration file, as mcplb -t does.

Exit status: 0 if it is valid, 2 with every mistake as FILE:LINE: KEY: reason.`,
		Example: "  mcplb check lb.toml\n  mcplb check -c lb.toml",
		RunE: func(c *cobra.Command, args []string) error {
			paths, err := configPaths(c, config, args)
			switch {
			case err != nil:
				return err
			case len(paths) == 0:
				return cli.Misuse("name the file with -c")
			}
			return checkConfig(paths, o.stdout, o.stderr)
		},
	}
	configFlag(c.Flags(), &config, "the configuration `FILE` or directory, or - for standard input; may be given several times (MCPLB_CONFIG)")
	return c
}
