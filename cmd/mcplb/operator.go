package main

import (
	"io"
	"os"
	"strconv"
	"time"

	"mcplb/cmd/internal/build"
	"mcplb/cmd/internal/cli"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit statuses of the operator's commands. A command that is refused (no such
// server, not allowed, the reload failed) ends with 1.
const (
	exitDegraded    = 1  // status: clients are served, but something needs attention
	exitCritical    = 2  // status: clients are not served, or soon will not be
	exitNotEmpty    = 2  // drain -wait: clients are left
	exitUnreachable = 3  // no balancer answers
	exitMisused     = 64 // the command line is wrong (EX_USAGE of sysexits.h)
)

// The groups of commands in the help of mcplb.
const (
	groupView   = "view"
	groupChange = "change"
)

// operator is one run of an operator's command.
type operator struct {
	stdout, stderr io.Writer
	api            *apiClient

	// Where the balancer is.
	config             []string
	address, tokenFile string
	timeout            time.Duration
}

// addCommands adds every command to root.
func addCommands(root *cobra.Command, o *operator) {
	root.AddGroup(
		&cobra.Group{ID: groupView, Title: "Look at a running balancer:"},
		&cobra.Group{ID: groupChange, Title: "Change a running balancer:"},
	)
	addGroup(root, groupView, o.statusCommand(), o.topCommand(), o.connectionsCommand(), o.bansCommand(), o.stickyCommand(), o.routeCommand())
	addGroup(root, groupChange, o.drainCommand(), o.maintCommand(), o.readyCommand(), o.weightCommand(), o.maxConnCommand(), o.addCommand(), o.removeCommand(),
		o.killCommand(), o.banCommand(), o.unbanCommand(), o.clearCommand(), o.reloadCommand())
	root.AddCommand(o.checkCommand(), o.doctorCommand(), o.tlsCheckCommand(), initCommand(), o.convertCommand(), schemaCommand(), cli.Version("mcplb", build.Describe()), cli.Man(root))
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		c.Annotations = map[string]string{cli.UsageStatus: strconv.Itoa(exitMisused)}
		completeFlags(c)
	}
}

func addGroup(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
	}
	root.AddCommand(commands...)
}

// remote completes a command that asks the balancer: run is called once it is
// known where the balancer is.
func (o *operator) remote(c *cobra.Command, run func(args []string) error) *cobra.Command {
	o.connectionFlags(c.Flags())
	c.RunE = func(_ *cobra.Command, args []string) (err error) {
		if o.api, err = o.connect(); err != nil {
			return misconfigured{err}
		}
		return run(args)
	}
	return c
}

func (o *operator) connectionFlags(flags *pflag.FlagSet) {
	configFlag(flags, &o.config, "the balancer's configuration `FILE` or directory, for its admin address and token (MCPLB_CONFIG)")
	flags.StringVar(&o.address, "admin", os.Getenv("MCPLB_ADMIN"), "the balancer's admin `ADDRESS` (MCPLB_ADMIN); without -c and -admin, "+usualAdmin)
	flags.StringVar(&o.tokenFile, "token-file", os.Getenv("MCPLB_TOKEN_FILE"), "the `FILE` with the token (MCPLB_TOKEN_FILE); MCPLB_TOKEN may hold the token itself")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long to wait for an answer")
}

// misconfigured is the error of a command that cannot find out where the balancer
// is.
type misconfigured struct{ error }

func (e misconfigured) Unwrap() error { return e.error }

// ExitStatus is the exit status of the command (cli.Execute).
func (e misconfigured) ExitStatus() int { return exitMisused }
