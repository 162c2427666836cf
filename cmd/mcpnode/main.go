// Mcpnode is a minimal MCP server, the companion behind which mcplb is tried
// out, tested and measured.
//
// It speaks real MCP by the official Go SDK over raw TCP: stdio framing, one
// JSON-RPC message a line, one session a connection. Its tools are echo, whoami
// (the node's name: which server answered) and slow (takes its time, reports
// progress, can be cancelled). One process holds 25,000 sessions within 2 GB.
//
//	mcpnode -name node1 -tcp 127.0.0.11:9001
//
// It exits with 0 after SIGTERM or SIGINT, with 1 when it cannot serve, and
// with 2 when its command line is wrong. It does no authentication and limits
// no rates: it is not meant to face anybody but the balancer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// shutdownTimeout bounds the wait for sessions to end after a signal.
const shutdownTimeout = 1500 * time.Millisecond

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line's values.
type options struct {
	name    string
	tcp     string // host:port
	level   slog.Level
	version bool
}

// run is the whole program; it serves until ctx is done and returns the exit
// status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "mcpnode: %v\n", err)
		return 2
	case opts.version:
		fmt.Fprintln(stdout, "mcpnode", version())
		return 0
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: opts.level}))
	if err := serve(ctx, opts, log); err != nil {
		log.Error("mcpnode cannot serve", "name", opts.name, "error", err)
		return 1
	}
	return 0
}

// parseOptions reads the command line. A mistake in a flag is reported on
// stderr by the flag package as well, together with the usage.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("mcpnode", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.name, "name", "node1", "the node's `name`: what the tool whoami answers")
	flags.StringVar(&opts.tcp, "tcp", "", "serve MCP over raw TCP on this `host:port`; port 0 takes a free one")
	flags.TextVar(&opts.level, "log-level", slog.LevelInfo, "`level` of the log: debug, info, warn or error")
	flags.BoolVar(&opts.version, "version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "mcpnode is a minimal MCP server for trying mcplb.\n\nUsage: mcpnode -name NAME -tcp HOST:PORT")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	switch {
	case opts.version:
		return opts, nil
	case flags.NArg() > 0:
		return opts, fmt.Errorf("unexpected argument %q; see mcpnode -h", flags.Arg(0))
	case opts.name == "":
		return opts, errors.New("-name must not be empty")
	case opts.tcp == "":
		return opts, errors.New("nothing to serve: give an address, such as -tcp 127.0.0.11:9001")
	}
	return opts, nil
}

// serve listens, serves until ctx is done, and ends every session.
func serve(ctx context.Context, opts options, log *slog.Logger) error {
	endpoint, err := listenTCP(opts.tcp, newServer(opts.name, version(), log), log)
	if err != nil {
		return err
	}
	log.Info("mcpnode is ready", "name", opts.name, "tcp", endpoint.addr())
	done := make(chan error, 1)
	go func() { done <- endpoint.accept() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		log.Info("mcpnode is stopping", "name", opts.name, "sessions", endpoint.count())
	}
	if !endpoint.close(shutdownTimeout) {
		log.Warn("sessions were still busy when mcpnode stopped", "sessions", endpoint.count())
	}
	return err
}

// version is what the build recorded of the module's version.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
