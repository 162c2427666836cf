package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
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
	attempt atomic.Int32 // to upgrade
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
	if err := p.advance(noAttempt, unprepared); err != nil {
		return nil, nil, err
	}
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
		err := endOf(p.upgrade())
		if err != nil {
			near.Close()
		}
		result <- err
	}()
	return near, result, nil
}

// oldEnds is the longest that tableflip may take to learn that the old process has ended,
// once WaitForOld has returned.
const oldEnds = time.Second

// upgrade starts a new process and waits until it is Ready. For a moment after WaitForOld,
// tableflip may refuse: when the end of the old process and an upgrade are both pending, it
// takes either first.
func (p *Process) upgrade() error {
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		err := p.flip.Upgrade()
		if err == nil || err.Error() != "parent hasn't exited" || time.Since(start) > oldEnds {
			return err
		}
	}
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

// Stay makes the pid file name this process again, which continues to serve after an
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

// Upgrades reports whether this process was started to take over from an old one.
func (p *Process) Upgrades() bool { return p.flip.HasParent() }

// The states of an attempt to upgrade.
const (
	noAttempt int32 = iota
	unprepared
	prepared // the new process is: it takes over now
	canceled
)

// ErrCanceled is the outcome of an upgrade that Cancel has ended.
var ErrCanceled = errors.New("the upgrade was ended before the new process was prepared")

// Cancel ends an upgrade in progress if nothing has been handed over yet, and prevents
// further ones. It reports false, and does nothing, if the new process takes over
// now, which does not take long.
func (p *Process) Cancel() bool {
	for {
		now := p.attempt.Load()
		if now == prepared {
			return false
		}
		if p.attempt.CompareAndSwap(now, canceled) {
			p.flip.Stop()
			return true
		}
	}
}

// advance changes the state of the attempt, unless Cancel has ended it.
func (p *Process) advance(from, to int32) error {
	if !p.attempt.CompareAndSwap(from, to) {
		return ErrCanceled
	}
	return nil
}

// commit ends the time in which Cancel is possible.
func (p *Process) commit() error { return p.advance(unprepared, prepared) }

// failed makes another attempt possible.
func (p *Process) failed() {
	for _, state := range []int32{unprepared, prepared} {
		p.attempt.CompareAndSwap(state, noAttempt)
	}
}

// Stop ends a new process that is being started, and prevents further ones.
func (p *Process) Stop() { p.flip.Stop() }

// ErrStopped is the outcome of an upgrade whose new process was ended by SIGTERM or
// SIGINT: the balancer is to stop.
var ErrStopped = errors.New("the new process was asked to stop")

// endOf recognizes ErrStopped. tableflip returns the new process's end as text only.
func endOf(err error) error {
	if err == nil {
		return nil
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if strings.HasSuffix(err.Error(), "signal: "+sig.String()) {
			return fmt.Errorf("%w: %w", ErrStopped, err)
		}
	}
	return err
}

// EndBySignal ends this process, a new one that does not serve, as if it did not
// handle the signal. That is how the old process learns that it is to stop, too.
func EndBySignal(sig os.Signal) {
	signal.Reset(sig)
	if number, ok := sig.(syscall.Signal); ok {
		_ = syscall.Kill(os.Getpid(), number)
	}
	time.Sleep(time.Second) // the signal may reach any thread
	os.Exit(1)
}
