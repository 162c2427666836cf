package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"
)

// flagsOf returns a flag set for a command, with the flag -state.
func flagsOf(in invocation, name, does, usage string) (*flag.FlagSet, *string) {
	flags := flag.NewFlagSet("mcpcluster "+name, flag.ContinueOnError)
	flags.SetOutput(in.stderr)
	state := flags.String("state", defaultState(), "the `directory` of the cluster's state")
	flags.Usage = func() {
		fmt.Fprintf(in.stderr, "mcpcluster %s %s\n\nUsage: mcpcluster %s %s\n", name, does, name, usage)
		flags.PrintDefaults()
	}
	return flags, state
}

// parsed turns what parsing a command line gave into an exit status; false
// means that the command is to go on.
func parsed(in invocation, name string, err error) (status int, over bool) {
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0, true
	case err != nil:
		fmt.Fprintf(in.stderr, "mcpcluster %s: %v\n", name, err)
		return 2, true
	}
	return 0, false
}

// failed reports an error and returns the exit status.
func failed(in invocation, err error) int {
	fmt.Fprintln(in.stderr, "mcpcluster:", err)
	return 1
}

// startCommand is "mcpcluster start".
func startCommand(in invocation, args []string) int {
	flags, state := flagsOf(in, "start", "starts a cluster in the background, or members of one that runs, and returns when they answer.", "[flags] [MEMBER...]")
	config := flags.String("c", "", "the balancer's configuration `file` (default the demonstration)")
	bin := flags.String("bin", "", "the `directory` of mcpnode and mcplb (default that of mcpcluster itself)")
	if status, over := parsed(in, "start", flags.Parse(args)); over {
		return status
	}
	answer, err := ask(in.running, *state, request{Op: opStart, Names: flags.Args()})
	if errors.Is(err, errNoCluster) && flags.NArg() == 0 {
		answer, err = launch(in, *state, *config, *bin)
	}
	if err != nil {
		return failed(in, err)
	}
	return tell(in, answer)
}

// tell shows the members of a cluster as start left them.
func tell(in invocation, answer *reply) int {
	table := tabwriter.NewWriter(in.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ROLE\tNAME\tPID\tSTATE")
	for _, m := range answer.Members {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", m.Role, m.Name, m.PID, m.State)
	}
	if err := table.Flush(); err != nil {
		return failed(in, fmt.Errorf("print the table: %w", err))
	}
	return 0
}

// launch starts "mcpcluster run" in a session of its own and returns when its
// members answer.
func launch(in invocation, state, config, bin string) (*reply, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	log, err := os.Create(filepath.Join(state, ownLogName))
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	command := &exec.Cmd{
		Path: self, Args: []string{"mcpcluster", "run", "-state", state},
		Stdout: log, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, // it outlives this terminal
	}
	for name, value := range map[string]string{"-c": config, "-bin": bin} {
		if value != "" {
			command.Args = append(command.Args, name, absolute(value))
		}
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start mcpcluster in the background: %w", err)
	}
	return awaitLaunched(in.running, command, state)
}

// awaitLaunched waits for the cluster's answer, or its end.
func awaitLaunched(ctx context.Context, command *exec.Cmd, state string) (*reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		err := command.Wait() // it ends only when it fails, or long after this program
		cancel(fmt.Errorf("the cluster could not be started (%w): %s", errOr(err, "it ended"), lastWords(state)))
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
		answer, err := ask(ctx, state, request{Op: opStatus})
		if err == nil && answer.PID == command.Process.Pid {
			return answer, nil
		}
		timer.Reset(attemptPause)
	}
}

// lastWords is what the mcpcluster in the background has said.
func lastWords(state string) string {
	text, err := os.ReadFile(filepath.Join(state, ownLogName))
	if err != nil || len(text) == 0 {
		return "it has said nothing"
	}
	return string(text)
}

// stopCommand is "mcpcluster stop".
func stopCommand(in invocation, args []string) int {
	flags, state := flagsOf(in, "stop", "ends a cluster, or members of it.", "[flags] [MEMBER...]")
	kill := flags.Bool("kill", false, "end the members by SIGKILL, as if they had crashed")
	if status, over := parsed(in, "stop", flags.Parse(args)); over {
		return status
	}
	if flags.NArg() > 0 {
		answer, err := ask(in.running, *state, request{Op: opStop, Names: flags.Args(), Kill: *kill})
		if err != nil {
			return failed(in, err)
		}
		return tell(in, answer)
	}
	if err := shutdown(in.running, *state); err != nil {
		return failed(in, err)
	}
	return 0
}

// shutdown ends a cluster and waits for the end of its last process.
func shutdown(ctx context.Context, state string) error {
	answer, err := ask(ctx, state, request{Op: opShutdown})
	if err != nil {
		return err
	}
	for {
		if err := syscall.Kill(answer.PID, 0); errors.Is(err, syscall.ESRCH) {
			return nil
		}
		if _, err := os.Stat(filepath.Join(state, controlName)); os.IsNotExist(err) {
			return nil // its socket goes last
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-time.After(attemptPause):
		}
	}
}

// restartCommand is "mcpcluster restart".
func restartCommand(in invocation, args []string) int {
	flags, state := flagsOf(in, "restart", "ends members and starts them again, all of the cluster where none is named.", "[flags] [MEMBER...]")
	if status, over := parsed(in, "restart", flags.Parse(args)); over {
		return status
	}
	if flags.NArg() > 0 {
		answer, err := ask(in.running, *state, request{Op: opRestart, Names: flags.Args()})
		if err != nil {
			return failed(in, err)
		}
		return tell(in, answer)
	}
	was, err := ask(in.running, *state, request{Op: opStatus})
	if err != nil {
		return failed(in, err)
	}
	if err := shutdown(in.running, *state); err != nil {
		return failed(in, err)
	}
	config := was.Config
	if config == absolute(filepath.Join(*state, demoName)) {
		config = "" // it went with the cluster
	}
	answer, err := launch(in, *state, config, was.Bin)
	if err != nil {
		return failed(in, err)
	}
	return tell(in, answer)
}
