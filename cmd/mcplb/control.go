package main

import (
	"fmt"
	"net/http"
	"os"

	"mcplb/cmd/internal/cli"
	"mcplb/proxy/admin"

	"github.com/spf13/cobra"
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

// oneFile is the file that the flag -c or the argument names; "" = none does.
func oneFile(c *cobra.Command, flag string, args []string) (string, error) {
	if len(args) == 0 {
		return flag, nil
	}
	if c.Flags().Changed("config") {
		return "", cli.Misuse("-c names %q, and %q is an argument: give one file", flag, args[0])
	}
	return args[0], nil
}

// checkCommand does what the flag -t does.
func (o *operator) checkCommand() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use: "check [flags] [FILE]", Short: "Check a configuration file", Args: cli.Args(0, 1),
		Long: `Check a configuration file, as mcplb -t does.

Exit status: 0 if it is valid, 2 with every mistake as FILE:LINE: KEY: reason.`,
		Example: "  mcplb check lb.toml\n  mcplb check -c lb.toml",
		RunE: func(c *cobra.Command, args []string) error {
			file, err := oneFile(c, config, args)
			switch {
			case err != nil:
				return err
			case file == "":
				return cli.Misuse("name the file with -c")
			}
			return checkConfig(file, o.stdout, o.stderr)
		},
	}
	c.Flags().StringVarP(&config, "config", "c", os.Getenv("MCPLB_CONFIG"), "the configuration `FILE` (MCPLB_CONFIG)")
	return c
}
