package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
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

// child is a started process of the cluster.
//
//	state    | meaning                              | next
//	starting | the process runs                     | ready, ended
//	ready    | it has answered once                 | ended
//	ended    | it has ended, by itself or by stop   | -
type child struct {
	member    member
	command   *exec.Cmd
	log       *processLog
	started   time.Time
	answered  bool          // it was ready; written by the cluster's goroutine
	requested bool          // its end was requested; written by the cluster's goroutine
	ended     chan struct{} // closed when the process has ended; then err is set
	err       error         // how it ended; nil = exit status 0
}

// startChild starts a member. onEnd is called once, from another goroutine,
// when the process has ended.
func startChild(launcher *launcher, start func(*exec.Cmd) error, member member, log *processLog, onEnd func(*child)) (*child, error) {
	command := exec.Command(member.path, member.args...)
	command.Stdout, command.Stderr = log, log
	command.WaitDelay = outputDelay
	command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // the terminal's Ctrl-C reaches this program only, which stops the others in order
		Pdeathsig: syscall.SIGKILL,
	}
	if err := launcher.start(start, command); err != nil {
		return nil, fmt.Errorf("start %s: %w", member.name, err)
	}
	c := &child{member: member, command: command, log: log, started: time.Now(), ended: make(chan struct{})}
	go c.wait(onEnd)
	return c, nil
}

func (c *child) wait(onEnd func(*child)) {
	c.err = c.command.Wait()
	close(c.ended)
	onEnd(c)
}

func (c *child) pid() int { return c.command.Process.Pid }

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

// signal sends a signal. A process that has just ended needs none.
func (c *child) signal(signal os.Signal) { _ = c.command.Process.Signal(signal) }
