package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cloudflare/tableflip"
	"golang.org/x/sys/unix"
)

// Process is this process in a succession of processes, each of which takes over
// from the one before. A program has one Process. Its methods may be called by any
// goroutine.
type Process struct {
	flip    *tableflip.Upgrader
	parent  int
	pidFile pidFile
}

// ProcessOptions say how a process takes over.
type ProcessOptions struct {
	PIDFile string        // where to write the ID of the process that serves; "" = nowhere
	Timeout time.Duration // how long a new process may take until it is Ready; 0 = a minute
}

// NewProcess determines whether this process takes over from an old one. It fails if
// the pid file cannot be written; Ready writes it.
func NewProcess(o ProcessOptions) (*Process, error) {
	p := &Process{parent: os.Getppid(), pidFile: pidFile(o.PIDFile)}
	if err := p.pidFile.prove(); err != nil {
		return nil, err
	}
	var err error
	if p.flip, err = tableflip.New(tableflip.Options{UpgradeTimeout: o.Timeout}); err != nil {
		return nil, fmt.Errorf("preparing for upgrades: %w", err)
	}
	return p, nil
}

// channelName names the channel's socket among the files that a new process
// inherits. It is the only one: listening sockets and connections are sent over
// it, because tableflip keeps open what it passes on.
const channelName = "handover"

// OldProcess returns the channel to the old process; nil = there is none.
func (p *Process) OldProcess() (*Channel, error) {
	if !p.flip.HasParent() {
		return nil, nil
	}
	file, err := p.flip.File(channelName)
	if err != nil {
		return nil, fmt.Errorf("hand-over socket: %w", err)
	}
	if file == nil {
		return nil, errors.New("the old process handed over no socket (is it no mcplb?)")
	}
	return NewChannel(file)
}

// Spawn starts a new process from this one's executable, arguments and
// environment. The result is sent once: nil when the new process has become
// Ready; an error when it has ended without, in which case the channel is closed.
func (p *Process) Spawn() (*Channel, <-chan error, error) {
	near, far, err := pair()
	if err != nil {
		return nil, nil, err
	}
	err = p.flip.AddFile(channelName, far)
	far.Close() // tableflip has a copy
	if err != nil {
		near.Close()
		return nil, nil, fmt.Errorf("hand-over socket: %w", err)
	}
	result := make(chan error, 1)
	go func() {
		err := p.flip.Upgrade()
		if err != nil {
			near.Close()
		}
		result <- err
	}()
	return near, result, nil
}

// Ready announces that this process serves: it writes the pid file, and the old
// process, if there is one, lets go of its sockets. It succeeds if the old process
// has died meanwhile: no other process serves what it handed over. unwritten says
// that the pid file could not be written although NewProcess could have: it names
// another process, which is no reason to stop serving.
func (p *Process) Ready() (unwritten, err error) {
	unwritten = p.pidFile.write()
	err = p.flip.Ready()
	if err != nil && p.flip.HasParent() && p.Orphaned() {
		return unwritten, nil
	}
	return unwritten, err
}

// Stay makes the pid file name this process again, which goes on to serve after an
// upgrade has failed: the new process may have written it already.
func (p *Process) Stay() error {
	if p.pidFile == "" || p.pidFile.isOurs() {
		return nil
	}
	return p.pidFile.write()
}

// WaitForOld waits until the old process has ended, or ctx has. Until then this
// process cannot be upgraded.
func (p *Process) WaitForOld(ctx context.Context) error { return p.flip.WaitForParent(ctx) }

// Orphaned waits up to a second for the end of the old process, and reports
// whether it has ended. It is called when the channel is broken: the old process
// has either died or given up.
func (p *Process) Orphaned() bool {
	for range 100 {
		if os.Getppid() != p.parent {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// kill ends a new process that is not Ready.
func kill(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has ended
	}
	defer unix.Close(fd)
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
}

// Forget removes the pid file if it names this process, which has ended without a
// successor.
func (p *Process) Forget() {
	if p.pidFile != "" && p.pidFile.isOurs() {
		_ = os.Remove(string(p.pidFile)) // left behind, it names no process
	}
}

// Stop ends a new process that is being started, and prevents further ones.
func (p *Process) Stop() { p.flip.Stop() }
