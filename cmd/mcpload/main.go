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

// commands lists the subcommands in the order of the usage.
func commands() []command {
	return []command{
		{"run", "put load on a cluster that is there", runCommand},
		{"bench", "measure a cluster of its own: one of five benchmarks, or all", benchCommand},
		{"peers", "measure mcplb beside HAProxy and nginx", peersCommand},
		{"stress", "try a cluster of its own in everything that it must bear", stressCommand},
		{"origin", "be a server with as little as possible behind it", originCommand},
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
		usageOfAll(stderr)
		return 2
	}
	for _, command := range commands() {
		if command.name == args[0] {
			return command.run(ctx, args[1:], stdout, stderr)
		}
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		usageOfAll(stdout)
		return 0
	}
	fmt.Fprintf(stderr, "mcpload: there is no command %q\n\n", args[0])
	usageOfAll(stderr)
	return 2
}

func usageOfAll(w io.Writer) {
	fmt.Fprint(w, "mcpload puts load on an MCP cluster and tells what came of it.\n\nUsage: mcpload COMMAND [flags]\n\nCommands:\n")
	for _, command := range commands() {
		fmt.Fprintf(w, "  %-8s %s\n", command.name, command.summary)
	}
	fmt.Fprint(w, "\nmcpload COMMAND -h tells a command's flags.\n")
}

// exitInterrupted is the status after a signal, as shells have it for SIGINT.
const exitInterrupted = 130

// runCommand is "mcpload run".
func runCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseRunOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "mcpload run:", err)
		return 2
	}
	report, err := doRun(ctx, &o, stderr)
	if err == nil {
		err = errors.Join(report.print(stdout), report.write(&o))
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "mcpload:", err)
		return 1
	case report.Interrupted:
		return exitInterrupted
	case report.failed():
		return 1
	}
	return 0
}
