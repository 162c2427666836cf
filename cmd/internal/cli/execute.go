package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// The exit statuses, unless a command or an error has another one.
const (
	statusFailed = 1
	statusMisuse = 2
)

// UsageStatus is the annotation of a command that holds the exit status of a
// wrong command line, such as "64". It applies to the commands below, too. Without
// it the status is 2.
const UsageStatus = "cli-usage-status"

// Status is an error that ends a program with an exit status. It prints nothing:
// the command has printed what there is to say.
type Status int

func (s Status) Error() string { return "exit status " + strconv.Itoa(int(s)) }

// ExitStatus is what Execute returns.
func (s Status) ExitStatus() int { return int(s) }

// usageError is a wrong command line that a command found by itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Misuse is an error of a command that was called in a wrong way: Execute prints
// it with the command's usage. The format is that of fmt.Errorf.
func Misuse(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// failure is the error of a command that did run.
type failure struct{ error }

func (e failure) Unwrap() error { return e.error }

// Execute runs the command that args name and returns the exit status. Errors go
// to stderr, with a hint if the command line is wrong. Help and results go to
// root's output, standard output unless root.SetOut was called before anything
// else. Commands get the context of root.SetContext.
//
// A command without Args accepts no arguments, one without RunE requires the name of
// a command below it. Execute changes root, which serves for one call only.
func Execute(root *cobra.Command, args []string, stderr io.Writer) (status int) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetErr(stderr)
	root.SetHelpCommand(helpCommand(root))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	removePowerShell(root)
	prepare(root)
	normal, named, err := normalise(root, args)
	if err != nil {
		return reportMisuse(named, err, stderr)
	}
	root.SetArgs(normal)
	bare := detectBare(root)
	command, err := root.ExecuteC()
	return report(command, unknownCommand(command, err, *bare), stderr)
}

// unknownCommand replaces cobra's error about a command that does not exist or is
// missing, if that is what is wrong: bare commands require another one.
func unknownCommand(c *cobra.Command, err error, bare bool) error {
	var name string
	switch {
	case bare && c.Flags().NArg() > 0:
		return surplus(c, c.Flags().Arg(0))
	case bare:
		return Misuse("name a command:\n\n%s", c.UsageString())
	case err == nil || !c.HasSubCommands():
		return err
	}
	// cobra looks for the command before it parses flags, and has no type for this.
	if _, scanErr := fmt.Sscanf(err.Error(), "unknown command %q for", &name); scanErr != nil {
		return err
	}
	return surplus(c, name)
}

// detectBare reports, once root was executed, whether the command line names a
// command that does nothing without the name of another one. cobra shows its help
// as if it were requested.
func detectBare(root *cobra.Command) *bool {
	bare := new(bool)
	showHelp := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		if *bare = !c.Runnable() && !c.Flags().Changed("help"); !*bare {
			showHelp(c, args)
		}
	})
	return bare
}

// prepare completes a command and those below it.
func prepare(c *cobra.Command) {
	c.DisableFlagsInUseLine = c.DisableFlagsInUseLine || !c.HasAvailableFlags() // except -h
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag() // if c.Version is set
	c.LocalFlags()             // merges the flags of its parents, for normalise
	if run := c.RunE; run != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := run(c, args); err != nil {
				return failure{err}
			}
			return nil
		}
	}
	if c.Args == nil && (c.Runnable() || c.HasParent() || !c.HasSubCommands()) {
		c.Args = Args(0, 0) // of a root as well: cobra lets what is behind "--" pass
	}
	for _, child := range c.Commands() {
		prepare(child)
	}
}

// report prints a command's error and returns the exit status.
func report(c *cobra.Command, err error, stderr io.Writer) int {
	var failed failure
	var misuse usageError
	var silent Status
	switch {
	case err == nil:
		return 0
	case errors.As(err, &misuse), !errors.As(err, &failed):
		return reportMisuse(c, err, stderr)
	case !errors.As(err, &silent):
		fmt.Fprintf(stderr, "%s: %v\n", c.Root().Name(), err)
	}
	var chosen interface{ ExitStatus() int }
	if errors.As(err, &chosen) {
		return chosen.ExitStatus()
	}
	return statusFailed
}

// reportMisuse prints what is wrong with a command line and how to write it.
func reportMisuse(c *cobra.Command, err error, stderr io.Writer) int {
	message := strings.TrimRight(err.Error(), "\n")
	fmt.Fprintf(stderr, "%s: %s\n", c.CommandPath(), message)
	if !strings.Contains(message, "\n") {
		fmt.Fprintf(stderr, "usage: %s\n", usageLine(c))
	}
	fmt.Fprintf(stderr, "'%s -h' shows more\n", c.CommandPath())
	for ; c != nil; c = c.Parent() {
		if status, err := strconv.Atoi(c.Annotations[UsageStatus]); err == nil {
			return status
		}
	}
	return statusMisuse
}

func usageLine(c *cobra.Command) string {
	if c.Runnable() {
		return c.UseLine()
	}
	return c.CommandPath() + " [command]"
}
