package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// The exit statuses of the operator's commands.
const (
	exitDone        = 0  // it is done; status: healthy
	exitDegraded    = 1  // status: clients are served, but something is to be mended
	exitRefused     = 1  // the balancer would not: no such server, not allowed, the reload failed
	exitCritical    = 2  // status: clients are not served, or will soon not be
	exitUnreachable = 3  // no balancer answers there
	exitMisused     = 64 // the command line is wrong (EX_USAGE, sysexits.h)
)

// command is one of the operator's commands.
type command struct {
	name  string
	args  string // what stands behind it
	short string // in a few words
	long  string // what -h tells besides
	flags func(*flag.FlagSet, *operator)
	local bool // it speaks to no balancer
	run   func(*operator, []string) error
}

// commands are all of them, in the order in which help shows them. It is a
// function because help, one of them, shows them.
func commands() []command {
	return slices.Concat(viewCommands, changeCommands, []command{checkCommand, completionCommand()})
}

// commandOf finds a command by its name.
func commandOf(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return &c
		}
	}
	return nil
}

// operator is one run of a command.
type operator struct {
	stdout, stderr io.Writer
	api            *apiClient

	// Of the command line. Each command has some of them.
	config, address, tokenFile string
	timeout                    time.Duration
	json                       bool
	watch                      time.Duration
	reason                     string
	limit                      int
	client                     string
	all                        bool
	lasting                    time.Duration
	source                     string
}

// exitError ends a command with a status; what was to be said is said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// errMisused says that the command line is wrong.
var errMisused = errors.New("wrong command line")

// operate runs a command and returns the exit status.
func operate(c *command, args []string, stdout, stderr io.Writer) int {
	o := &operator{stdout: stdout, stderr: stderr}
	flags := o.flagSet(c)
	rest, err := parseMixed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		return exitMisused
	}
	if !c.local {
		if o.api, err = o.connect(); err != nil {
			fmt.Fprintln(stderr, "mcplb:", err)
			return exitMisused
		}
	}
	return o.exit(c, c.run(o, rest))
}

// exit says what went wrong, and returns the status.
func (o *operator) exit(c *command, err error) int {
	var status exitStatus
	var unreachable *unreachableError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, errMisused):
		fmt.Fprintf(o.stderr, "mcplb %s: %v\nusage: mcplb %s\nmcplb %s -h tells more\n", c.name, err, c.usage(), c.name)
		return exitMisused
	case errors.As(err, &unreachable):
		fmt.Fprintln(o.stderr, "mcplb:", err)
		return exitUnreachable
	}
	fmt.Fprintln(o.stderr, "mcplb:", err)
	return exitRefused
}

func (c *command) usage() string { return strings.TrimSpace(c.name + " [flags] " + c.args) }

// flagSet are the flags of a command.
func (o *operator) flagSet(c *command) *flag.FlagSet {
	flags := flag.NewFlagSet("mcplb "+c.name, flag.ContinueOnError)
	flags.SetOutput(o.stderr)
	if !c.local {
		flags.StringVar(&o.config, "c", os.Getenv("MCPLB_CONFIG"), "the balancer's configuration `FILE`, for its admin address and token (MCPLB_CONFIG)")
		flags.StringVar(&o.address, "admin", os.Getenv("MCPLB_ADMIN"), "the balancer's admin `ADDRESS` (MCPLB_ADMIN); without either, "+usualAdmin)
		flags.StringVar(&o.tokenFile, "token-file", os.Getenv("MCPLB_TOKEN_FILE"), "the `FILE` with the token (MCPLB_TOKEN_FILE); the token itself may stand in MCPLB_TOKEN")
		flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long to wait for an answer")
	}
	if c.flags != nil {
		c.flags(flags, o)
	}
	flags.Usage = func() {
		fmt.Fprintf(o.stderr, "usage: mcplb %s\n\n%s%s.%s\n\nFlags:\n", c.usage(), strings.ToUpper(c.short[:1]), c.short[1:], prefixed("\n", c.long))
		flags.PrintDefaults()
	}
	return flags
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// parseMixed reads flags wherever they stand between the arguments.
func parseMixed(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		args = flags.Args()
		if len(args) == 0 {
			return rest, nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// showCommands lists them.
func showCommands(w io.Writer) {
	fmt.Fprintln(w, "\nTo look after a balancer that runs (mcplb COMMAND -h tells more of each):")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-42s %s\n", strings.TrimSpace("mcplb "+c.name+" "+c.args), c.short)
	}
}

// need checks the number of arguments.
func need(args []string, least, most int) error {
	if len(args) < least || most >= 0 && len(args) > most {
		return fmt.Errorf("%w: %s", errMisused, cmp.Or(strings.Join(args, " "), "something is missing"))
	}
	return nil
}
