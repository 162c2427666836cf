package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mcplb/cmd/internal/build"
	"mcplb/cmd/internal/cli"
	"mcplb/cmd/internal/logqueue"
	"mcplb/conf"
	"mcplb/proxy"
	"mcplb/proxy/handover"
	"mcplb/proxy/reactor"

	"github.com/spf13/cobra"
)

// The exit statuses of the balancer. Those of the commands are in operator.go.
const (
	exitOK    = 0
	exitError = 1 // it could not start, or failed
	exitUsage = 2 // the command line or the configuration is wrong
)

func main() {
	stdout := cli.NewOutput(os.Stdout)
	os.Exit(stdout.Exit("mcplb", run(os.Args[1:], stdout, os.Stderr), os.Stderr))
}

// run is main with its environment as arguments.
func run(args []string, stdout, stderr io.Writer) int {
	return cli.Execute(rootCommand(stdout, stderr), args, stderr)
}

// rootCommand is the complete command line: the balancer itself and, below it, the
// commands that look after a running one.
func rootCommand(stdout, stderr io.Writer) *cobra.Command {
	b := &balancerOptions{stdout: stdout, stderr: stderr}
	root := &cobra.Command{
		Use:   "mcplb -c FILE [flags]",
		Short: "Balance the load of MCP, HTTP, WebSocket and TCP clients on servers",
		Long: `mcplb -c FILE is the balancer. It runs in the foreground and logs to standard
error. SIGHUP reloads the configuration, SIGUSR2 starts a new binary, which takes
over every connection, SIGTERM, SIGINT and SIGQUIT drain; a second one stops at once.

Exit status: 0 after a stop, 1 if it could not start, 2 for a wrong command line
or configuration. The commands look after a running balancer.`,
		Example: "  mcplb -c lb.toml\n  mcplb -c lb.toml -t",
		RunE:    func(*cobra.Command, []string) error { return b.run() },
	}
	root.SetOut(stdout)
	b.flags(root)
	addCommands(root, &operator{stdout: stdout, stderr: stderr})
	return root
}

// balancerOptions is the command line of the balancer itself.
type balancerOptions struct {
	stdout, stderr io.Writer

	config  []string
	check   bool
	version bool
	process handover.ProcessOptions
	system  *reactor.System // nil = the kernel; tests have another
}

func (b *balancerOptions) flags(root *cobra.Command) {
	flags := root.Flags()
	flags.StringArrayVarP(&b.config, "config", "c", nil, "the configuration: a `FILE`, a directory with files *.toml, or - for standard input; may be given several times")
	flags.BoolVarP(&b.check, "check", "t", false, "check the configuration (of -c or MCPLB_CONFIG) and exit: status 0 if it is valid, 2 if it is not")
	flags.StringVar(&b.process.PIDFile, "pid-file", "", "write the process ID of the serving process to this `FILE`, again after every upgrade")
	flags.DurationVar(&b.process.Timeout, "upgrade-timeout", time.Minute, "the longest that a new binary may take until it serves")
	flags.BoolVar(&b.version, "version", false, "print the version and exit")
	completeFlags(root)
}

// run serves, or does what a flag requests instead. Only the check takes the configuration
// from the environment, as the commands do: "mcplb" alone, typed beside a balancer, must not
// become a second one on the same addresses.
func (b *balancerOptions) run() error {
	switch {
	case b.version:
		_, err := fmt.Fprintln(b.stdout, "mcplb", build.Version())
		return err
	case b.check && len(b.config) == 0:
		b.config = presetConfig()
	}
	switch {
	case len(b.config) == 0:
		return cli.Misuse("name the configuration with -c")
	case b.check:
		return checkConfig(b.config, b.stdout, b.stderr)
	}
	if status := b.serve(); status != exitOK {
		return cli.Status(status)
	}
	return nil
}

// lastWords is how long the end of the process waits until the log is written.
const lastWords = time.Second

// serve runs the balancer until a signal stops it, or another process has taken over,
// and returns the exit status. The log cannot stop it, even if standard
// error has no reader, or no longer.
func (b *balancerOptions) serve() int {
	signal.Ignore(syscall.SIGPIPE)
	stderr := logqueue.New(b.stderr)
	defer stderr.Close(lastWords)
	signals := catchSignals() // before anything else, so that none is lost
	defer signals.close()
	s := newServer(b.config, stderr)
	if b.system != nil {
		s.system = b.system
	}
	return s.run(b.process, signals)
}

// checkConfig reports whether a configuration is valid, with its warnings.
func checkConfig(paths []string, stdout, stderr io.Writer) error {
	config, err := loadConfig(paths, stderr)
	if err != nil {
		return err
	}
	if err := checkStart(config); err != nil {
		fmt.Fprintln(stderr, "mcplb: cannot start:", err)
		return cli.Status(exitUsage)
	}
	for _, warning := range warnings(config) {
		fmt.Fprintf(stderr, "%s: warning: %s\n", config.Path, warning)
	}
	_, err = fmt.Fprintf(stdout, "%s: configuration is valid\n", config.Path)
	return err
}

// checkStart reports why a start with a valid configuration would fail here.
func checkStart(config *conf.Config) error {
	limit, err := reactor.OpenFilesLimit()
	if err != nil {
		return err
	}
	return proxy.Check(config, limit)
}

// loadConfig reads a configuration. Its error is an exit status: what is wrong has
// been printed. Mistakes in the file are printed without the program's name, one
// per line, as editors and other tools expect them.
func loadConfig(paths []string, stderr io.Writer) (*conf.Config, error) {
	config, err := conf.Load(paths...)
	if err == nil {
		return config, nil
	}
	var mistakes conf.Errors
	if errors.As(err, &mistakes) {
		fmt.Fprintln(stderr, mistakes.Error())
	} else {
		fmt.Fprintln(stderr, "mcplb:", err)
	}
	return nil, cli.Status(exitUsage)
}
