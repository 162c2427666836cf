// Mcpload puts load on an MCP cluster and tells what came of it.
//
//	mcpload run -n 9000 -mix tcp=70,http=10,ws=10,sse=10 -expect-p99 100ms -html report.html
//
// It holds very many MCP sessions (100,000 in well under 1 GB): its clients are
// state machines on the balancer's own event engine, with no goroutine each.
// They speak MCP as it is, each in a session of its own: initialize, then tool
// calls. Every answer is checked: that it is one, for this message, with the
// right content, by the node that the session is on. What is not as it should
// be is counted by reason, and the client comes back after a pause.
//
// A run has four phases: ramp (sessions are opened at a set rate), load (each
// sends a message every interval), monitor (all are held silent, and then asked
// once more), report. Latencies are kept in HDR histograms, from the sending of
// a message to the reading of its answer, overall, by kind of client and by
// node; a message that could not be sent in time, since the answer before was
// late, counts with the time it had to wait.
//
// It exits with 0 when everything was as expected, with 1 when it was not or
// nothing could be run, with 2 when the command line is wrong, and with 130
// when a signal ended it early (what was seen until then is reported).
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
