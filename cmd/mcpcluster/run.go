package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mcplb/cmd/internal/logqueue"

	"github.com/spf13/cobra"
)

//go:embed demo.toml
var demoConfig []byte

// runOptions are the flags of the command run.
type runOptions struct {
	config  string // a path; "" = the built-in demonstration
	bin     string // the directory of the binaries
	logs    string // the directory for log files; "" = none, or the one in state
	state   string // the state directory; "" = the user's, if no other cluster uses it
	verbose bool
	count   int // balancers
}

func runCommand(in invocation) *cobra.Command {
	var opts runOptions
	c := &cobra.Command{
		Use: "run [flags]", Short: "Run a cluster in the foreground, until Ctrl-C",
		Long: `Start the nodes and the balancer, verify each, show what runs where, and stop them
all at Ctrl-C; a second Ctrl-C kills those that have not ended.

Without -c, it is a demonstration on ports 8000, 8080, 8443, 8404 and 8888.

With -balancers 2, the demonstration has two balancers, mcplb1 on 127.0.0.1 and mcplb2
on 127.0.0.2, which share bans, rates and displaced sources through a Redis of its own
(redis-server or valkey-server, if this machine has one): mcplb status -fleet.

The other commands (status, stop, start, restart, kill) work beside it, from another
terminal. Members follow upgrades: SIGUSR2 to the balancer replaces it.`,
		Example: "  mcpcluster run\n  mcpcluster run -c lb.toml -logs logs\n  mcpcluster run -balancers 2",
		RunE:    func(*cobra.Command, []string) error { return runCluster(in, opts) },
	}
	configFlag(c, &opts.config)
	binFlag(c, &opts.bin)
	balancersFlag(c, &opts.count)
	c.Flags().StringVar(&opts.logs, "logs", "", "append each process's output to a file in this `DIRECTORY`")
	c.Flags().StringVar(&opts.state, "state", "", "answer the other commands by a socket in this `DIRECTORY`, and keep the logs there (default: answer in "+defaultState()+", keep no logs)")
	c.Flags().BoolVarP(&opts.verbose, "verbose", "v", false, "show the output of all processes, each line after the process's name")
	return c
}

// runCluster runs a cluster, from reading the configuration to the end of the last
// process.
func runCluster(in invocation, opts runOptions) (err error) {
	if err := checkBalancers(opts.count, opts.config); err != nil {
		return err
	}
	calls, closeControl, err := answerCommands(in, opts.state)
	if err != nil {
		return err
	}
	defer closeControl()
	if opts.state != "" {
		opts.logs = cmp.Or(opts.logs, filepath.Join(opts.state, logsName))
	}
	demo := opts.config == ""
	if opts.config == "" {
		if opts.count > 1 && redisProgram() == "" {
			fmt.Fprintln(in.stderr, "mcpcluster: this machine has no redis-server (apt-get install redis-server): the balancers share nothing")
		}
		path, remove, err := writeDemo(opts.state, opts.count)
		if err != nil {
			return err
		}
		defer remove()
		opts.config = path
	}
	configs, err := loadAll(opts.config, opts.count)
	if err != nil {
		return err
	}
	members := planFleet(configs, opts.config)
	if err := locate(members, opts.bin); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // output whose reader has gone must not end the cluster
	stderr := logqueue.New(in.stderr)
	defer stderr.Close(time.Second)
	logs, err := newLogs(stderr, opts.verbose, opts.logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.close()) }()
	cluster := newCluster(in, members, logs)
	cluster.calls = calls
	cluster.about = reply{PID: os.Getpid(), Config: absolute(opts.config), Demo: demo, Balancers: opts.count, Bin: absolute(filepath.Dir(members[0].path))}
	return cluster.run()
}

// checkBalancers refuses a number of balancers that cannot be.
func checkBalancers(count int, config string) error {
	switch {
	case count < 1 || count > mostBalancers:
		return fmt.Errorf("-balancers must be from 1 to %d, not %d", mostBalancers, count)
	case count > 1 && config != "":
		return errors.New("-balancers is for the demonstration: leave -c out, since each balancer needs addresses of its own")
	}
	return nil
}

// answerCommands opens the control socket in a state directory; "" is the user's, which is not
// worth an error: another cluster may use it.
func answerCommands(in invocation, state string) (calls <-chan call, closeControl func(), err error) {
	control, err := openControl(cmp.Or(state, defaultState()))
	switch {
	case err == nil:
		return control.calls, control.close, nil
	case state != "":
		return nil, nil, err
	}
	fmt.Fprintf(in.stderr, "mcpcluster: other commands do not see this cluster: %v\n", err)
	return nil, func() {}, nil
}

// absolute is the path in a form that is valid in every directory.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// writeDemo writes the built-in configuration, one for each balancer, and a new certificate to the state
// directory, or to a temporary one if state is "". remove deletes them.
func writeDemo(state string, balancers int) (path string, remove func(), err error) {
	cert, key, err := selfSigned(time.Now())
	if err != nil {
		return "", nil, fmt.Errorf("make the demonstration's certificate: %w", err)
	}
	directory := state
	if state == "" {
		if directory, err = os.MkdirTemp("", "mcpcluster-"); err != nil {
			return "", nil, fmt.Errorf("write the demonstration's configuration: %w; set TMPDIR to a writable directory", err)
		}
	}
	files := map[string][]byte{certName: cert, keyName: key}
	text := string(demoConfig)
	for name := range files {
		text = strings.ReplaceAll(text, strconv.Quote(name), strconv.Quote(absolute(filepath.Join(directory, name))))
	}
	files[demoName] = []byte(text)
	for k := 1; balancers > 1 && k <= balancers; k++ {
		files[filepath.Base(configPath(demoName, k))] = []byte(forBalancer(text, k, redisProgram() != ""))
	}
	remove = func() {
		for name := range files {
			os.Remove(filepath.Join(directory, name))
		}
		if state == "" {
			os.Remove(directory)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(directory, name), text, 0o600); err != nil {
			remove()
			return "", nil, fmt.Errorf("write the demonstration's configuration: %w", err)
		}
	}
	return filepath.Join(directory, demoName), remove, nil
}

// locate fills in each member's executable: the file of that name in the
// directory, "" meaning the directory of this program.
func locate(members []member, directory string) error {
	if directory == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program's directory: %w; name the binaries' directory with -bin", err)
		}
		directory = filepath.Dir(self)
	}
	for i := range members {
		if members[i].path != "" {
			continue // found already
		}
		path := filepath.Join(directory, members[i].binary)
		if info, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w; build it there (make build) or name the binaries' directory with -bin", err)
		} else if info.IsDir() || info.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is not an executable file; name the binaries' directory with -bin", path)
		}
		members[i].path = path
	}
	return nil
}
