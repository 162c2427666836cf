package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// command is a subcommand. It returns the exit status.
type command struct {
	name    string
	summary string
	run     func(ctx context.Context, args []string, stdout, stderr io.Writer) int
}

// commands returns the subcommands in the order of the usage.
func commands() []command {
	return []command{
		{"run", "put load on a cluster that is running", runCommand},
		{"bench", "measure a cluster of its own: one of five benchmarks, or all", benchCommand},
		{"peers", "measure mcplb beside HAProxy and nginx", peersCommand},
		{"stress", "test a cluster of its own: formation, scaling, performance, reliability", stressCommand},
		{"origin", "serve MCP with as little as possible behind it", originCommand},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// dispatch runs the subcommand that args name.
func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return 2
	}
	for _, command := range commands() {
		if command.name == args[0] {
			return command.run(ctx, args[1:], stdout, stderr)
		}
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		usage(stdout)
		return 0
	}
	fmt.Fprintf(stderr, "mcpload: there is no command %q\n\n", args[0])
	usage(stderr)
	return 2
}

func usage(w io.Writer) {
	fmt.Fprint(w, "mcpload puts load on an MCP cluster and reports the results.\n\nUsage: mcpload COMMAND [flags]\n\nCommands:\n")
	for _, command := range commands() {
		fmt.Fprintf(w, "  %-8s %s\n", command.name, command.summary)
	}
	fmt.Fprint(w, "\nmcpload COMMAND -h shows a command's flags.\n")
}

// exitInterrupted is the status after a signal, as shells have it for SIGINT.
const exitInterrupted = 130

// parse parses the flags of a command. It returns false, and the exit status, if
// the command is not to run.
func parse(flags *flag.FlagSet, args []string, validate func() error) (status int, ok bool) {
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0, false
	}
	if err == nil {
		err = validate()
	}
	if err != nil {
		fmt.Fprintf(flags.Output(), "%s: %v\n", flags.Name(), err)
		return 2, false
	}
	return 0, true
}

// noArguments refuses arguments.
func noArguments(flags *flag.FlagSet) error {
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see %s -h", flags.Arg(0), flags.Name())
	}
	return nil
}
