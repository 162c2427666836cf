package main

import (
	"fmt"

	"mcplb/cmd/internal/cli"
	"mcplb/cmd/mcplb/convert"

	"github.com/spf13/cobra"
)

// exitIncomplete is the exit status of convert if a directive was not possible.
const exitIncomplete = 3

// exitOpen is the exit status of convert if, beyond that, requests that the original refuses
// reach servers.
const exitOpen = 4

// convertCommand is the command "convert".
func (o *operator) convertCommand() *cobra.Command {
	var report bool
	var from string
	c := &cobra.Command{
		Use: "convert [flags] FILE...", Short: "Convert a configuration of HAProxy or nginx to lb.toml", Args: cli.Args(1, -1),
		Long: `Convert a configuration of HAProxy or nginx to lb.toml, on standard output. Several
files, directories of HAProxy, and what files of nginx include, are one configuration.
"-" is standard input.

Every directive is accounted for: translated; translated with a difference, which a
comment beside it names; not needed; or not possible, which the head of the file lists
with file and line. -report prints that account as a table instead.

mcplb -t accepts what comes out, if the files that it names (certificates, error pages)
are there. It limits no client that was not limited, and responses of servers have no header that
was not set.

A denial that mcplb cannot express is also named on standard error, since what it keeps
out reaches servers: do not serve such a result before you have closed these.

Exit status: 0 if everything was possible, 3 if not, 4 if a denial was not, 2 if a file
cannot be read, or is in neither language.`,
		Example: `  mcplb convert /etc/haproxy/haproxy.cfg > lb.toml && mcplb -c lb.toml -t
  mcplb convert -report /etc/nginx/nginx.conf`,
	}
	c.Flags().BoolVar(&report, "report", false, "print what has become of every directive, instead of lb.toml")
	c.Flags().StringVar(&from, "from", "", "the `LANGUAGE` of the files: haproxy or nginx (default: as they look)")
	c.RunE = func(_ *cobra.Command, args []string) error { return o.convert(convert.Language(from), report, args) }
	return c
}

// convert prints the result or its report.
func (o *operator) convert(from convert.Language, report bool, files []string) error {
	result, err := convert.Files(from, files...)
	if err != nil {
		fmt.Fprintln(o.stderr, "mcplb convert:", err)
		return cli.Status(exitUsage)
	}
	if report {
		err = result.Report(o.stdout)
	} else {
		_, err = fmt.Fprint(o.stdout, result.Text)
	}
	if err != nil {
		return err
	}
	for _, missing := range result.Missing {
		fmt.Fprintf(o.stderr, "mcplb convert: mcplb -t will refuse this here: %s\n", missing)
	}
	opened := result.Opened()
	for _, d := range opened {
		fmt.Fprintf(o.stderr, "mcplb convert: OPEN: %s: %s: what it refuses reaches servers\n", d.Place, d.Text)
	}
	if result.Incomplete() {
		if !report {
			fmt.Fprintln(o.stderr, "mcplb convert: not all of it is possible: the head of the output lists what is not, -report everything")
		}
		if len(opened) > 0 {
			return cli.Status(exitOpen)
		}
		return cli.Status(exitIncomplete)
	}
	return nil
}
