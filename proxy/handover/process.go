package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
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
	pidFile string
}

// ProcessOptions say how a process takes over.
type ProcessOptions struct {
	PIDFile string        // where to write the ID of the process that serves; "" = nowhere
	Timeout time.Duration // how long a new process may take until it is Ready; 0 = a minute
}

// NewProcess determines whether this process takes over from an old one.
func NewProcess(o ProcessOptions) (*Process, error) {
	flip, err := tableflip.New(tableflip.Options{PIDFile: o.PIDFile, UpgradeTimeout: o.Timeout})
	if err != nil {
		return nil, fmt.Errorf("preparing for upgrades: %w", err)
	}
	return &Process{flip: flip, parent: os.Getppid(), pidFile: o.PIDFile}, nil
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
// has died meanwhile: no other process serves what it handed over.
func (p *Process) Ready() error {
	err := p.flip.Ready()
	if err != nil && p.flip.HasParent() && p.Orphaned() {
		return nil
	}
	return err
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
	if p.pidFile == "" {
		return
	}
	text, err := os.ReadFile(p.pidFile)
	if err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid()) {
		_ = os.Remove(p.pidFile) // left behind, it names no process
	}
}

// Stop ends a new process that is being started, and prevents further ones.
func (p *Process) Stop() { p.flip.Stop() }
