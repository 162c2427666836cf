package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mcplb/cmd/internal/cli"
	"mcplb/cmd/mcplb/doctor"
	"mcplb/conf"
)

// doctorCommand is the command "doctor".
func (o *operator) doctorCommand() *cobra.Command {
	var config []string
	c := &cobra.Command{
		Use: "doctor [flags] [FILE]", Short: "Examine whether this machine can do what the configuration asks", Args: cli.Args(0, 1),
		Long: `Examine whether this machine can do what the configuration asks: open files,
addresses to listen on, ports, kernel settings, the clock, certificates, names, and
whether every server can be reached from here and passes its check. Each finding
says what to do. Nothing is changed. Run it as the user and with the limits of the
service. It takes less than ten seconds, usually much less.

Exit status: 0 if all is well or there are only warnings, 1 if there is a problem,
2 if the configuration is wrong.`,
		Example: "  mcplb doctor lb.toml\n  mcplb doctor",
		RunE: func(c *cobra.Command, args []string) error {
			paths, err := configPaths(c, config, args)
			if err != nil {
				return err
			}
			return o.examine(c, paths)
		},
	}
	configFlag(c.Flags(), &config, "the configuration `FILE` or directory (MCPLB_CONFIG)")
	return c
}

// examine prints what the doctor finds.
func (o *operator) examine(c *cobra.Command, paths []string) error {
	var config *conf.Config
	if len(paths) > 0 {
		var err error
		if config, err = loadConfig(paths, o.stderr); err != nil {
			return err
		}
	}
	problems := 0
	table := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	for _, f := range doctor.Examine(c.Context(), config, doctor.ThisMachine()) {
		if f.Level == doctor.Problem {
			problems++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Level, f.Subject, f.Text)
		if f.Advice != "" {
			fmt.Fprintf(table, "\t\t-> %s\n", f.Advice)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if problems > 0 {
		return fmt.Errorf("problems found: %d", problems)
	}
	return nil
}
