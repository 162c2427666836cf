package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mcplb/cmd/internal/cli"
	"mcplb/cmd/mcplb/doctor"
	"mcplb/conf"
)

// doctorCommand is the command "doctor".
func (o *operator) doctorCommand() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use: "doctor [flags] [FILE]", Short: "Examine whether this machine can do what the configuration asks", Args: cli.Args(0, 1),
		Long: `Examine whether this machine can do what the configuration asks: open files,
ports, kernel settings, the clock, certificates, names, and whether every server
can be reached from here. Each finding says what to do. Nothing is changed. Run it
as the user and with the limits of the service.

Exit status: 0 if all is well or there are only warnings, 1 if there is a problem,
2 if the configuration is wrong.`,
		Example: "  mcplb doctor lb.toml\n  mcplb doctor",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				config = args[0]
			}
			return o.examine(c, config)
		},
	}
	c.Flags().StringVarP(&config, "config", "c", os.Getenv("MCPLB_CONFIG"), "the configuration `FILE` (MCPLB_CONFIG)")
	return c
}

// examine prints what the doctor finds.
func (o *operator) examine(c *cobra.Command, file string) error {
	var config *conf.Config
	if file != "" {
		var err error
		if config, err = loadConfig(file, o.stderr); err != nil {
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
