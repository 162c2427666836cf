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

// Process is this process as one in a line of processes that take over from
// each other. There is one in a program. Its methods may be called by any
// goroutine.
type Process struct {
	flip    *tableflip.Upgrader
	parent  int
	pidFile string
}

// ProcessOptions say how a process takes over.
type ProcessOptions struct {
	PIDFile string        // where to write the number of the process that serves; "" = nowhere
	Timeout time.Duration // how long a new process may take until it is Ready; 0 = a minute
}

// NewProcess finds out whether this process takes over from another.
func NewProcess(o ProcessOptions) (*Process, error) {
	flip, err := tableflip.New(tableflip.Options{PIDFile: o.PIDFile, UpgradeTimeout: o.Timeout})
	if err != nil {
		return nil, fmt.Errorf("preparing for upgrades: %w", err)
	}
	return &Process{flip: flip, parent: os.Getppid(), pidFile: o.PIDFile}, nil
}

// channelName is what the socket is called among the files that a new process
// inherits. It is the only one: listening sockets and connections go over it,
// since what tableflip passes on it also keeps open.
const channelName = "handover"

// Before returns the channel to the process that this one takes over from, or
// nil when there is none.
func (p *Process) Before() (*Channel, error) {
	if !p.flip.HasParent() {
		return nil, nil
	}
	file, err := p.flip.File(channelName)
	if err != nil {
		return nil, fmt.Errorf("hand-over socket: %w", err)
	}
	if file == nil {
		return nil, errors.New("the process before handed over no socket (is it no mcplb?)")
	}
	return NewChannel(file)
}

// Spawn starts a new process from this one's executable, arguments and
// environment. The channel is broken when that fails, be it later. The result
// comes once: nil when the new process was Ready, and the error when it was
// not, and is gone.
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

// Ready says that this process serves: the pid file is written, and the
// process before, if there is one, lets go. One that has died meanwhile need not
// be told: what it handed over is served by nobody else.
func (p *Process) Ready() error {
	err := p.flip.Ready()
	if err != nil && p.flip.HasParent() && p.Orphaned() {
		return nil
	}
	return err
}

// Alone waits until the process before has ended, or ctx has. Until then this
// one cannot be upgraded.
func (p *Process) Alone(ctx context.Context) error { return p.flip.WaitForParent(ctx) }

// Orphaned waits for a short time for the end of the process before, and tells
// whether it ended. It is asked when the channel is broken: its maker has died,
// or has given up.
func (p *Process) Orphaned() bool {
	for range 100 {
		if os.Getppid() != p.parent {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// End ends a new process that is not Ready, for good. pid is what it said.
func End(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has ended
	}
	defer unix.Close(fd)
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
}

// Forget removes the pid file, where it names this process: it has ended, and
// nobody has taken its place.
func (p *Process) Forget() {
	if p.pidFile == "" {
		return
	}
	text, err := os.ReadFile(p.pidFile)
	if err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid()) {
		_ = os.Remove(p.pidFile) // left behind, it names nobody
	}
}

// Stop ends a new process that is being started, and there will be no other.
func (p *Process) Stop() { p.flip.Stop() }
