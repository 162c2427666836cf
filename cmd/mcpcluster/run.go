package main

import (
	"cmp"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mcplb/conf"
)

//go:embed demo.toml
var demoConfig []byte

// runOptions are the flags of the command run.
type runOptions struct {
	config  string // a path; "" = the demonstration that is built in
	bin     string // the directory of the binaries
	logs    string // the directory for log files; "" = none, or that in state
	state   string // the state directory; "" = no other mcpcluster is answered
	verbose bool
}

// runCommand is "mcpcluster run".
func runCommand(in invocation, args []string) int {
	opts, err := parseRunOptions(in, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(in.stderr, "mcpcluster run:", err)
		return 2
	}
	if err := runCluster(in, opts); err != nil {
		fmt.Fprintln(in.stderr, "mcpcluster:", err)
		return 1
	}
	return 0
}

func parseRunOptions(in invocation, args []string) (runOptions, error) {
	var opts runOptions
	flags := flag.NewFlagSet("mcpcluster run", flag.ContinueOnError)
	flags.SetOutput(in.stderr)
	flags.StringVar(&opts.config, "c", "", "the balancer's configuration `file`, whose servers are started as nodes (default a demonstration on ports 8000, 8080, 8443, 8404 and 8888)")
	flags.StringVar(&opts.bin, "bin", "", "the `directory` of mcpnode and mcplb (default that of mcpcluster itself)")
	flags.StringVar(&opts.logs, "logs", "", "append each process's output to a file in this `directory`")
	flags.StringVar(&opts.state, "state", "", "answer the other commands by a socket in this `directory`, and keep the logs there")
	flags.BoolVar(&opts.verbose, "v", false, "show the output of all processes, each line after the process's name")
	flags.Usage = func() {
		fmt.Fprint(in.stderr, "mcpcluster run starts the nodes and the balancer, each verified, shows what runs where,\nand ends all at Ctrl-C; a second Ctrl-C kills what has not ended.\n\nUsage: mcpcluster run [flags]\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q; see mcpcluster run -h", flags.Arg(0))
	}
	return opts, nil
}

// runCluster does everything from reading the configuration to the end of the
// last process.
func runCluster(in invocation, opts runOptions) (err error) {
	var calls <-chan call
	if opts.state != "" {
		control, err := openControl(opts.state)
		if err != nil {
			return err
		}
		defer control.close()
		calls = control.calls
		opts.logs = cmp.Or(opts.logs, filepath.Join(opts.state, logsName))
	}
	if opts.config == "" {
		path, remove, err := writeDemo(opts.state)
		if err != nil {
			return err
		}
		defer remove()
		opts.config = path
	}
	config, err := conf.Load(opts.config)
	if err != nil {
		return fmt.Errorf("the configuration is not usable:\n%w", err)
	}
	members := plan(config, opts.config)
	if err := locate(members, opts.bin); err != nil {
		return err
	}
	logs, err := newLogs(in.stderr, opts.verbose, opts.logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.close()) }()
	cluster := newCluster(in, members, logs)
	cluster.calls = calls
	cluster.about = reply{PID: os.Getpid(), Config: absolute(opts.config), Bin: absolute(filepath.Dir(members[0].path))}
	return cluster.run()
}

// absolute is a path that means the same in another directory.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// writeDemo puts the built-in configuration, with a certificate made for it,
// where mcplb can read it: into the state directory, or one of its own where
// there is none. remove takes all of that away again.
func writeDemo(state string) (path string, remove func(), err error) {
	cert, key, err := selfSigned(time.Now())
	if err != nil {
		return "", nil, fmt.Errorf("make the demonstration's certificate: %w", err)
	}
	directory := state
	if state == "" {
		if directory, err = os.MkdirTemp("", "mcpcluster-"); err != nil {
			return "", nil, fmt.Errorf("write the demonstration's configuration: %w; set TMPDIR to a directory that can be written to", err)
		}
	}
	files := map[string][]byte{certName: cert, keyName: key}
	text := string(demoConfig)
	for name := range files {
		text = strings.ReplaceAll(text, strconv.Quote(name), strconv.Quote(absolute(filepath.Join(directory, name))))
	}
	files[demoName] = []byte(text)
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
			return fmt.Errorf("find this program's own directory: %w; name the binaries' directory with -bin", err)
		}
		directory = filepath.Dir(self)
	}
	for i := range members {
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
