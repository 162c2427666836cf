package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"mcplb/cmd/internal/cli"

	"github.com/spf13/cobra"
)

// The flags that several commands have.

func stateFlag(c *cobra.Command) *string {
	return c.Flags().String("state", defaultState(), "the `DIRECTORY` of the cluster's state")
}

func configFlag(c *cobra.Command, config *string) {
	c.Flags().StringVarP(config, "config", "c", "", "the balancer's configuration `FILE`, whose servers are started as nodes (default the demonstration)")
}

func binFlag(c *cobra.Command, bin *string) {
	c.Flags().StringVar(bin, "bin", "", "the `DIRECTORY` of mcpnode and mcplb (default that of mcpcluster itself)")
}

// completeMembers completes the names of the running cluster's members.
func completeMembers(in invocation, state *string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
		answer, err := ask(in.running, *state, request{Op: opStatus})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, m := range answer.Members {
			if !slices.Contains(args, m.Name) {
				names = append(names, cobra.CompletionWithDesc(m.Name, m.State))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func balancersFlag(c *cobra.Command, count *int) {
	c.Flags().IntVar(count, "balancers", 1, "the `NUMBER` of balancers of the demonstration, on 127.0.0.1, 127.0.0.2, ...")
}

func startCommand(in invocation) *cobra.Command {
	var config, bin string
	var count int
	c := &cobra.Command{
		Use: "start [flags] [MEMBER...]", Short: "Start a cluster in the background, or members that have ended", Args: cli.Args(0, -1),
		Long: `Start a cluster in the background, or members of a running one that have ended, and
return when they answer.`,
		Example: "  mcpcluster start -c lb.toml\n  mcpcluster start node3",
	}
	state := stateFlag(c)
	configFlag(c, &config)
	binFlag(c, &bin)
	balancersFlag(c, &count)
	c.ValidArgsFunction = completeMembers(in, state)
	c.RunE = func(_ *cobra.Command, members []string) error {
		answer, err := ask(in.running, *state, request{Op: opStart, Names: members})
		if errors.Is(err, errNoCluster) && len(members) == 0 {
			if err := checkBalancers(count, config); err != nil {
				return err
			}
			answer, err = launch(in, *state, config, bin, count)
		}
		if err != nil {
			return err
		}
		return printMembers(in, answer)
	}
	return c
}

// printMembers shows the members of a cluster as a command left them.
func printMembers(in invocation, answer *reply) error {
	table := tabwriter.NewWriter(in.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ROLE\tNAME\tPID\tSTATE")
	for _, m := range answer.Members {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", m.Role, m.Name, m.PID, m.State)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

// launch starts "mcpcluster run" in a separate session and returns when its members
// answer.
func launch(in invocation, state, config, bin string, balancers int) (*reply, error) {
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
	if balancers > 1 {
		command.Args = append(command.Args, "-balancers", strconv.Itoa(balancers))
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

// awaitLaunched waits until the cluster answers or has ended.
func awaitLaunched(ctx context.Context, command *exec.Cmd, state string) (*reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		err := command.Wait() // it ends only when it fails, or long after this program
		cancel(fmt.Errorf("the cluster could not be started (%w): %s", errOr(err, "it ended"), lastOutput(state)))
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

// lastOutput is what the mcpcluster in the background has printed.
func lastOutput(state string) string {
	text, err := os.ReadFile(filepath.Join(state, ownLogName))
	if err != nil || len(text) == 0 {
		return "it has printed nothing"
	}
	return string(text)
}

func stopCommand(in invocation) *cobra.Command {
	c := &cobra.Command{
		Use: "stop [flags] [MEMBER...]", Short: "Stop the cluster, or members of it", Args: cli.Args(0, -1),
		Example: "  mcpcluster stop\n  mcpcluster stop -kill node3",
	}
	state := stateFlag(c)
	kill := c.Flags().Bool("kill", false, "end the members by SIGKILL, as if they had crashed")
	c.ValidArgsFunction = completeMembers(in, state)
	c.RunE = func(_ *cobra.Command, members []string) error {
		if len(members) == 0 {
			return shutdown(in.running, *state)
		}
		answer, err := ask(in.running, *state, request{Op: opStop, Names: members, Kill: *kill})
		if err != nil {
			return err
		}
		return printMembers(in, answer)
	}
	return c
}

// killCommand is stop -kill, for those who look for it.
func killCommand(in invocation) *cobra.Command {
	c := &cobra.Command{
		Use: "kill [flags] MEMBER...", Short: "Kill members, as if they had crashed", Args: cli.Args(1, -1),
		Example: "  mcpcluster kill node3\n  mcpcluster restart node3",
	}
	state := stateFlag(c)
	c.ValidArgsFunction = completeMembers(in, state)
	c.RunE = func(_ *cobra.Command, members []string) error {
		answer, err := ask(in.running, *state, request{Op: opStop, Names: members, Kill: true})
		if err != nil {
			return err
		}
		return printMembers(in, answer)
	}
	return c
}

// shutdown stops a cluster and waits for the end of its last process.
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
			return nil // its socket is removed last
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-time.After(attemptPause):
		}
	}
}

func restartCommand(in invocation) *cobra.Command {
	c := &cobra.Command{
		Use: "restart [flags] [MEMBER...]", Short: "Stop and start members, or the complete cluster", Args: cli.Args(0, -1),
		Example: "  mcpcluster restart\n  mcpcluster restart mcplb",
	}
	state := stateFlag(c)
	c.ValidArgsFunction = completeMembers(in, state)
	c.RunE = func(_ *cobra.Command, members []string) (err error) {
		var answer *reply
		if len(members) > 0 {
			answer, err = ask(in.running, *state, request{Op: opRestart, Names: members})
		} else {
			answer, err = relaunch(in, *state)
		}
		if err != nil {
			return err
		}
		return printMembers(in, answer)
	}
	return c
}

// relaunch stops a cluster and starts it again in the background.
func relaunch(in invocation, state string) (*reply, error) {
	old, err := ask(in.running, state, request{Op: opStatus})
	if err != nil {
		return nil, err
	}
	if err := shutdown(in.running, state); err != nil {
		return nil, err
	}
	config := old.Config
	if old.Demo {
		config = "" // the old cluster has removed it
	}
	return launch(in, state, config, old.Bin, old.Balancers)
}
