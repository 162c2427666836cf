package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outputDelay bounds the wait for output that is still held open, after the end of
// a process, by children of that process.
const outputDelay = time.Second

// system is what the cluster needs of the operating system. Tests make it fail.
type system struct {
	// start starts a prepared command.
	start func(*exec.Cmd) error
	// probe reports whether an address can be listened on, and holds it until
	// release is called.
	probe func(address string) (release func(), err error)
	// proc is where the proc file system is.
	proc string
}

func realSystem() system {
	return system{start: (*exec.Cmd).Start, probe: probe, proc: "/proc"}
}

// launcher starts processes that the kernel kills when this program ends,
// however it ends.
//
// For the kernel, the parent has ended when the *thread* that started the process
// ends (prctl(2), PR_SET_PDEATHSIG), and Go ends threads at any time. So one
// goroutine starts all processes and keeps its thread until close.
type launcher struct {
	work chan func()
}

func newLauncher() *launcher {
	l := &launcher{work: make(chan func())}
	go l.serve()
	return l
}

func (l *launcher) serve() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for work := range l.work {
		work()
	}
}

// start starts a command on the launcher's thread.
func (l *launcher) start(start func(*exec.Cmd) error, command *exec.Cmd) error {
	result := make(chan error)
	l.work <- func() { result <- start(command) }
	return <-result
}

// close ends the launcher's goroutine. Its processes must have ended before.
func (l *launcher) close() { close(l.work) }

// adoptOrphans makes processes whose parent has ended children of this one (prctl(2),
// PR_SET_CHILD_SUBREAPER), so that it can follow a balancer that has upgraded itself.
func adoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of upgraded balancers: %w", err)
	}
	return nil
}

// child is a started process of the cluster, and those that take its place: a balancer
// that upgrades itself starts another process, in the same process group, and ends.
//
//	state    | meaning                              | next
//	starting | the process runs                     | ready, ended
//	ready    | it has answered once                 | ended
//	ended    | it has ended, by itself or by stop,  | -
//	         | and nothing has taken its place      |
type child struct {
	member    member
	command   *exec.Cmd
	group     int          // the process group: the first process's ID
	present   atomic.Int64 // the ID of the process that is waited for
	proc      string       // the proc file system
	log       *processLog
	output    *childOutput
	started   time.Time
	answered  bool          // it was ready; written by the cluster's goroutine
	requested bool          // its end was requested; written by the cluster's goroutine
	ended     chan struct{} // closed when the process has ended; then err is set
	err       error         // how it ended; nil = exit status 0
}

// childOutput is what a child's processes print, on its way to the log.
type childOutput struct {
	reader *os.File
	writer *os.File // until the start
	read   chan struct{}
}

func newOutput(log *processLog) (*childOutput, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for its output: %w", err)
	}
	o := &childOutput{reader, writer, make(chan struct{})}
	go func() {
		defer close(o.read)
		_, _ = io.Copy(log, reader) // until the last process has ended, or close
	}()
	return o, nil
}

// close waits a moment for what is still to be read. Processes elsewhere may hold the
// pipe open for ever.
func (o *childOutput) close() {
	select {
	case <-o.read:
	case <-time.After(outputDelay):
	}
	o.reader.Close()
	<-o.read
}

// watcher is informed of what happens to a child, from another goroutine.
type watcher struct {
	ended    func(*child)                    // once
	upgraded func(c *child, before, now int) // process IDs
}

// startChild starts a member.
func startChild(launcher *launcher, system system, member member, log *processLog, watcher watcher) (*child, error) {
	output, err := newOutput(log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", member.name, err)
	}
	command := exec.Command(member.path, member.args...)
	command.Stdout, command.Stderr = output.writer, output.writer
	command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // the terminal's Ctrl-C reaches this program only, which stops the others in order
		Pdeathsig: syscall.SIGKILL,
	}
	err = launcher.start(system.start, command)
	output.writer.Close()
	if err != nil {
		output.close()
		return nil, fmt.Errorf("start %s: %w", member.name, err)
	}
	c := &child{
		member: member, command: command, group: command.Process.Pid, proc: system.proc,
		log: log, output: output, started: time.Now(), ended: make(chan struct{}),
	}
	c.present.Store(int64(c.group))
	go c.wait(watcher)
	return c, nil
}

// wait waits for the end of the process and of those that take its place.
func (c *child) wait(watcher watcher) {
	c.err = c.command.Wait()
	for {
		next, found := successor(c.proc, c.group)
		if !found {
			break
		}
		before := c.pid()
		c.present.Store(int64(next))
		watcher.upgraded(c, before, next)
		c.err = awaitProcess(next)
	}
	c.output.close()
	close(c.ended)
	watcher.ended(c)
}

// awaitProcess waits for the end of a child of this process that another one has started.
func awaitProcess(pid int) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", pid, err)
	}
	state, err := process.Wait()
	switch {
	case err != nil:
		return fmt.Errorf("wait for process %d: %w", pid, err)
	case !state.Success():
		return &exec.ExitError{ProcessState: state}
	}
	return nil
}

// pid is the ID of the process, or of the one that took its place.
func (c *child) pid() int { return int(c.present.Load()) }

func (c *child) state() string {
	select {
	case <-c.ended:
		return "ended"
	default:
	}
	if c.answered {
		return "ready"
	}
	return "starting"
}

// describe is the state of the child in replies.
func (c *child) describe() memberState {
	addresses := map[string]string{}
	for _, e := range c.member.addresses {
		addresses[e.label] = e.address
	}
	return memberState{Role: string(c.member.role), Name: c.member.name, PID: c.pid(), State: c.state(), Started: c.started, Addresses: addresses}
}

// outcome describes how the process ended. It must have ended.
func (c *child) outcome() string {
	if c.err == nil {
		return "exit status 0"
	}
	return c.err.Error()
}

// verify waits until the member answers, the process has ended, or ctx is done.
func (c *child) verify(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-c.ended:
			cancel(fmt.Errorf("it ended (%s)", c.outcome()))
		case <-stop:
		}
	}()
	if err := poll(ctx, c.member.ready); err != nil {
		return err
	}
	c.answered = true
	return nil
}

// stop ends the process by two SIGTERMs: at the first the balancer drains its
// connections, at the second it stops. If the process has not ended by then, or ctx
// is done, stop kills it and returns true.
func (c *child) stop(ctx context.Context, drainTimeout, stopTimeout time.Duration) (killed bool) {
	for _, timeout := range []time.Duration{drainTimeout, stopTimeout} {
		c.signal(syscall.SIGTERM)
		if c.endsWithin(ctx, timeout) {
			return false
		}
	}
	c.signal(syscall.SIGKILL)
	<-c.ended
	return true
}

// endsWithin waits for the end of the process and reports whether it came.
func (c *child) endsWithin(ctx context.Context, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-c.ended:
		return true
	case <-ctx.Done():
		return false
	}
}

// signal sends a signal to every process of the child. One that has just ended needs none.
func (c *child) signal(signal syscall.Signal) {
	if c.state() != "ended" {
		_ = syscall.Kill(-c.group, signal)
	}
}
