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
	"strings"
	"syscall"
	"time"

	"mcplb/cmd/internal/build"
	"mcplb/cmd/internal/logqueue"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// shutdownTimeout bounds the wait for sessions to end after a signal.
const shutdownTimeout = 1500 * time.Millisecond

// gcPercent is the growth of the heap that starts a garbage collection (GOGC, which
// overrides it). With half of Go's default, 25,000 sessions of two HTTP connections
// each stay within 2 GB.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the values of the command line.
type options struct {
	name    string
	tcp     string // host:port; "" = none
	web     httpOptions
	level   slog.Level
	version bool
}

// run is the complete program. It serves until ctx is done and returns the exit
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
		fmt.Fprintln(stdout, "mcpnode", build.Version())
		return 0
	}
	signal.Ignore(syscall.SIGPIPE) // a log whose reader has gone must not end the node
	queue := logqueue.New(stderr)
	defer queue.Close(time.Second)
	log := slog.New(slog.NewTextHandler(queue, &slog.HandlerOptions{Level: opts.level}))
	if err := serve(ctx, opts, log); err != nil {
		log.Error("mcpnode cannot serve", "name", opts.name, "error", err)
		return 1
	}
	return 0
}

// repeated returns the name of a flag with a value that args, which flags has parsed,
// give twice: the last one would win without a word. "" = none.
func repeated(flags *flag.FlagSet, args []string) string {
	seen := map[string]bool{}
	for i := 0; i < len(args)-flags.NArg(); i++ {
		name, _, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		known := flags.Lookup(name)
		if known == nil {
			continue // "--"
		}
		boolean, _ := known.Value.(interface{ IsBoolFlag() bool })
		if boolean != nil && boolean.IsBoolFlag() {
			continue
		}
		if seen[name] {
			return name
		}
		seen[name] = true
		if !hasValue {
			i++
		}
	}
	return ""
}

// parseOptions parses the command line. The flag package reports mistakes in flags
// on stderr, too, together with the usage.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("mcpnode", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.name, "name", "node1", "the node's `name`: what the tool whoami answers")
	flags.StringVar(&opts.tcp, "tcp", "", "serve MCP over raw TCP on this `host:port`; port 0 takes a free one")
	flags.StringVar(&opts.web.http, "http", "", "serve Streamable HTTP on this `host:port`, at "+pathMCP)
	flags.StringVar(&opts.web.ws, "ws", "", "serve WebSocket on this `host:port`, at "+pathWebSocket+" (default that of -http)")
	flags.StringVar(&opts.web.sse, "sse", "", "serve the deprecated HTTP+SSE on this `host:port`, at "+pathSSE+" (default that of -http)")
	flags.DurationVar(&opts.web.idle, "idle", time.Hour, "end a Streamable HTTP session that gets no POST for this long; 0 = never")
	flags.TextVar(&opts.level, "log-level", slog.LevelInfo, "`level` of the log: debug, info, warn or error")
	flags.BoolVar(&opts.version, "version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "mcpnode is a minimal MCP server for trying mcplb.\n\nUsage: mcpnode -name NAME [-tcp HOST:PORT] [-http HOST:PORT] [-sse HOST:PORT]\n       mcpnode version")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if name := repeated(flags, args); name != "" {
		return opts, fmt.Errorf("-%s is given twice: give it once", name)
	}
	rest := flags.Args()
	if len(rest) > 0 && rest[0] == "version" {
		opts.version, rest = true, rest[1:]
	}
	switch {
	case len(rest) > 0:
		return opts, fmt.Errorf("unexpected argument %q; see mcpnode -h", rest[0])
	case opts.version:
		return opts, nil
	case opts.name == "":
		return opts, errors.New("-name must not be empty")
	case opts.tcp == "" && !opts.web.wanted():
		return opts, errors.New("nothing to serve: give an address, such as -tcp 127.0.0.11:9001 or -http 127.0.0.11:8080")
	case opts.web.idle < 0:
		return opts, errors.New("-idle must not be negative; 0 = never")
	}
	return opts, nil
}

// endpoint is where clients connect, by one kind of transport.
type endpoint interface {
	// addrs are the actual addresses, each under the name of its flag.
	addrs() []slog.Attr
	// accept serves until close is called. It fails if a listener is broken.
	accept() error
	// close ends every session and waits for that, at most for the timeout. It
	// reports whether all have ended.
	close(timeout time.Duration) bool
	// count is the number of open sessions.
	count() int
}

// serve listens, serves until ctx is done, and then ends every session.
func serve(ctx context.Context, opts options, log *slog.Logger) error {
	endpoints, err := listenAll(opts, log)
	if err != nil {
		return err
	}
	ready := []slog.Attr{slog.String("name", opts.name)}
	done := make(chan error, len(endpoints))
	for _, endpoint := range endpoints {
		ready = append(ready, endpoint.addrs()...)
		go func() { done <- endpoint.accept() }()
	}
	log.LogAttrs(ctx, slog.LevelInfo, "mcpnode is ready", ready...)
	select {
	case err = <-done:
	case <-ctx.Done():
		log.Info("mcpnode is stopping", "name", opts.name, "sessions", count(endpoints))
	}
	if !closeAll(endpoints) {
		log.Warn("sessions were still busy when mcpnode stopped", "sessions", count(endpoints))
	}
	return err
}

// listenAll opens every endpoint in opts, or none.
func listenAll(opts options, log *slog.Logger) ([]endpoint, error) {
	newServer := func() *mcp.Server { return newServer(opts.name, build.Version(), log) }
	var endpoints []endpoint
	if opts.tcp != "" {
		endpoint, err := listenTCP(opts.tcp, newServer(), log)
		if err != nil {
			return nil, err
		}
		endpoints = append(endpoints, endpoint)
	}
	if opts.web.wanted() {
		endpoint, err := listenHTTP(opts.web, newServer, log)
		if err != nil {
			closeAll(endpoints)
			return nil, err
		}
		endpoints = append(endpoints, endpoint)
	}
	return endpoints, nil
}

// closeAll closes the endpoints at the same time.
func closeAll(endpoints []endpoint) bool {
	ended := make(chan bool, len(endpoints))
	for _, endpoint := range endpoints {
		go func() { ended <- endpoint.close(shutdownTimeout) }()
	}
	all := true
	for range endpoints {
		all = <-ended && all
	}
	return all
}

func count(endpoints []endpoint) int {
	sessions := 0
	for _, endpoint := range endpoints {
		sessions += endpoint.count()
	}
	return sessions
}
