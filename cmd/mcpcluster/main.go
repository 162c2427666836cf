package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"mcplb/cmd/internal/build"
	"mcplb/cmd/internal/cli"

	"github.com/spf13/cobra"
)

// invocation is the environment of a command.
type invocation struct {
	stdout, stderr io.Writer
	// running ends with the first signal, waiting with the second: processes that
	// have not ended by then are killed.
	running, waiting context.Context
	system           system
}

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as it is under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	if err := adoptOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, "mcpcluster:", err) // upgrades end the cluster
	}
	running, waiting := stages(signals)
	stdout := cli.NewOutput(os.Stdout)
	in := invocation{stdout: stdout, stderr: os.Stderr, running: running, waiting: waiting, system: realSystem()}
	os.Exit(stdout.Exit("mcpcluster", dispatch(in, os.Args[1:]), os.Stderr))
}

// stages returns two contexts: the first signal ends one, the second the other.
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

// dispatch runs the command that args name and returns the exit status.
func dispatch(in invocation, args []string) int {
	return cli.Execute(rootCommand(in), args, in.stderr)
}

func rootCommand(in invocation) *cobra.Command {
	root := &cobra.Command{
		Use: "mcpcluster", Short: "Run a complete MCP cluster on this machine: nodes and balancer",
		Long: `mcpcluster runs a complete MCP cluster on this machine: the nodes of a
configuration and the balancer in front of them.

Exit status: 0 if all went well, 1 if something failed, 2 for a wrong command line.`,
		Example: "  mcpcluster run\n  mcpcluster start -c lb.toml && mcpcluster status",
	}
	root.SetOut(in.stdout)
	cli.VersionFlag(root, build.Version())
	root.AddCommand(runCommand(in), startCommand(in), stopCommand(in), restartCommand(in), statusCommand(in), killCommand(in), tailCommand(in),
		composeCommand(in), cli.Version("mcpcluster", build.Describe()), cli.Man(root))
	return root
}
