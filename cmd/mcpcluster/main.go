package main

import (
	"context"
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
	run     func(in invocation, args []string) int
}

// commands lists the subcommands in the order of the usage.
func commands() []command {
	return []command{
		{"run", "start the nodes and the balancer, watch them, end them at Ctrl-C", runCommand},
		{"start", "do the same in the background, or start members again that have ended", startCommand},
		{"stop", "end the cluster, or members of it", stopCommand},
		{"restart", "end and start the cluster, or members of it", restartCommand},
		{"status", "tell whether it is healthy, and what it does", statusCommand},
		{"tail", "show the end of a member's log", tailCommand},
		{"compose", "write a docker-compose.yml and a Dockerfile for the same cluster", composeCommand},
	}
}

// invocation is what a subcommand gets from its surroundings.
type invocation struct {
	stdout, stderr io.Writer
	// running is done with the first signal, waiting with the second: then
	// what has not ended yet is killed.
	running, waiting context.Context
	system           system
}

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as it is under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	running, waiting := stages(signals)
	in := invocation{stdout: os.Stdout, stderr: os.Stderr, running: running, waiting: waiting, system: realSystem()}
	os.Exit(dispatch(in, os.Args[1:]))
}

// stages turns the first signal into the end of one context and the second
// into the end of the other.
func stages(signals <-chan os.Signal) (running, waiting context.Context) {
	running, stop := context.WithCancel(context.Background())
	waiting, kill := context.WithCancel(context.Background())
	go func() {
		<-signals
		stop()
		<-signals
		kill()
	}()
	return running, waiting
}

// dispatch runs the subcommand that args name.
func dispatch(in invocation, args []string) int {
	if len(args) == 0 {
		usage(in.stderr)
		return 2
	}
	for _, command := range commands() {
		if command.name == args[0] {
			return command.run(in, args[1:])
		}
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		usage(in.stdout)
		return 0
	}
	fmt.Fprintf(in.stderr, "mcpcluster: there is no command %q\n\n", args[0])
	usage(in.stderr)
	return 2
}

func usage(w io.Writer) {
	fmt.Fprint(w, "mcpcluster runs a whole MCP cluster on this machine: nodes and balancer.\n\nUsage: mcpcluster COMMAND [flags]\n\nCommands:\n")
	for _, command := range commands() {
		fmt.Fprintf(w, "  %-8s %s\n", command.name, command.summary)
	}
	fmt.Fprint(w, "\nmcpcluster COMMAND -h tells a command's flags.\n")
}
