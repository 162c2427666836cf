package proc

import (
	"bytes"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Process is a child process, the first of a process group.
type Process struct {
	command *exec.Cmd
	ended   chan struct{}
	output  bytes.Buffer // complete when ended is closed
}

// Start starts the program argv[0].
func Start(argv []string) (*Process, error) {
	p := &Process{command: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.command.WaitDelay = time.Second
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	go p.wait()
	return p, nil
}

func (p *Process) wait() {
	defer close(p.ended)
	_ = p.command.Wait() // callers judge a process by what it does, not by its status
}

// PID returns the process's id.
func (p *Process) PID() int { return p.command.Process.Pid }

// Path returns the program's path.
func (p *Process) Path() string { return p.command.Path }

// Ended reports whether the process has ended, and what it printed if so.
func (p *Process) Ended() (output string, ended bool) {
	select {
	case <-p.ended:
		return p.output.String(), true
	default:
		return "", false
	}
}

// Stop interrupts the process, and after three seconds kills it. It kills what is
// left of its process group and waits for the process's end.
func (p *Process) Stop() {
	_ = p.command.Process.Signal(syscall.SIGINT) // fails if it has ended
	select {
	case <-p.ended:
	case <-time.After(3 * time.Second):
	}
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.ended
}
