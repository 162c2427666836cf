package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"mcplb/cmd/internal/build"
	"mcplb/cmd/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	stdout := cli.NewOutput(os.Stdout)
	os.Exit(stdout.Exit("mcpload", execute(ctx, os.Args[1:], stdout, os.Stderr), os.Stderr))
}

// execute runs the command that args name and returns the exit status.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetContext(ctx)
	root.SetOut(stdout)
	return cli.Execute(root, args, stderr)
}

// The exit statuses besides those of package cli.
const (
	exitFailed      = cli.Status(1)   // an expectation was not met
	exitInterrupted = cli.Status(130) // by a signal, as shells have it for SIGINT
)

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "mcpload", Short: "Put load on an MCP cluster and report the results",
		Long: `mcpload puts load on an MCP cluster and reports the results.

Exit status: 0 if everything was as expected, 1 if it was not or if nothing could
be run, 2 for a wrong command line, 130 if a signal ended it early.`,
		Example: "  mcpload run -tcp 127.0.0.1:8000 -n 1000\n  mcpload bench -o results all",
	}
	cli.VersionFlag(root, build.Version())
	root.AddCommand(runCommand(), benchCommand(), peersCommand(), stressCommand(), originCommand(),
		cli.Version("mcpload", build.Describe()), cli.Man(root))
	return root
}
