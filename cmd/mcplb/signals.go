package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"mcplb/cmd/internal/build"
	"mcplb/proxy"
	"mcplb/proxy/handover"
)

// phase is the phase of a process, which decides what signals do. One goroutine (obey)
// runs through the phases and handles one signal after another.
//
//	phase      HUP              USR2                 TERM, INT         other events
//	following  reload           postponed            draining          the old process has ended: serving,
//	                                                                   then the postponed signals
//	serving    reload           upgrading            draining
//	upgrading  postponed        logged: in progress  postponed; again: the new process serves: leaving, and the
//	                                                 the new process   postponed signals are sent to it;
//	                                                 is stopped        it fails: serving, then the postponed signals
//	leaving    sent to the      logged: too late     stop at once      no client left, or hard_stop_after: ended
//	           new process
//	draining   only the access  logged: too late     stop at once      no client left, or hard_stop_after: ended
//	           log is reopened
//
// A starting process handles no signal before it serves: signals wait. In leaving and
// draining, it accepts no clients any more. In following, the old process still
// holds some clients.
type phase uint8

const (
	serving phase = iota
	following
	upgrading
	leaving
	draining
)

// life is a running server with its phase.
type life struct {
	*server
	phase     phase
	signals   <-chan os.Signal
	postponed []os.Signal // in their order, each once

	alone    <-chan struct{} // following: closed when the old process has ended
	upgraded <-chan upgradeResult
	next     *handover.Sender // leaving
	stopped  <-chan error
	cut      context.CancelCauseFunc // leaving and draining: stop at once
}

// upgradeResult is the outcome of an upgrade.
type upgradeResult struct {
	next *handover.Sender
	err  error
}

// errSecondSignal is the reason why draining was cut short.
var errSecondSignal = errors.New("a second signal to stop")

// obey handles signals until the balancer has stopped, and returns the exit status.
func (s *server) obey(signals <-chan os.Signal, old *oldProcess) int {
	l := &life{server: s, signals: signals}
	if old != nil {
		l.follow(old)
	}
	for {
		select {
		case sig := <-signals:
			l.obey(sig)
		case <-l.renewal:
			l.upgrade()
		case <-l.alone:
			l.alone, l.phase = nil, serving
			taken := old.new.TakenOver()
			l.log.Info("the process before has ended", "connections_taken_over", taken.Connections,
				"pause_p50", taken.P50, "pause_p99", taken.P99, "pause_max", taken.Most)
			l.catchUp()
		case result := <-l.upgraded:
			l.upgraded = nil
			l.afterUpgrade(result)
		case err := <-l.stopped:
			return l.ended(err)
		}
	}
}

// obey handles one signal.
func (l *life) obey(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		l.hangUp()
	case syscall.SIGUSR2:
		l.upgrade()
	default:
		l.terminate(sig)
	}
}

// hangUp handles SIGHUP.
func (l *life) hangUp() {
	switch l.phase {
	case serving, following:
		_, _ = l.reload() // it logs its error
	case upgrading:
		l.later(syscall.SIGHUP)
	case leaving:
		l.sendOn(syscall.SIGHUP)
	case draining:
		l.reopenLog()
		l.log.Warn("not reloading", "err", proxy.ErrDraining)
	}
}

// upgrade handles SIGUSR2.
func (l *life) upgrade() {
	switch l.phase {
	case serving:
		l.beginUpgrade()
	case following:
		l.log.Info("the upgrade waits until the old process has ended")
		l.later(syscall.SIGUSR2)
	case upgrading:
		l.log.Warn("not upgrading: an upgrade is in progress")
	default:
		l.log.Warn("not upgrading: this process is about to end")
	}
}

// terminate handles SIGTERM and SIGINT.
func (l *life) terminate(sig os.Signal) {
	switch l.phase {
	case serving, following:
		limit := l.hardStopAfter()
		l.log.Info("draining", "signal", sig.String(), "connections", l.proxy.Connections(), "hard_stop_after", limit)
		l.phase = draining
		l.note.stopping(l.drain(limit, func(context.Context) {}), limit, "draining")
	case upgrading:
		if l.later(syscall.SIGTERM) {
			l.process.Stop()
			return
		}
		l.log.Info("stopping when the upgrade in progress has ended, or at another signal", "signal", sig.String())
	default:
		l.cut(errSecondSignal)
	}
}

// later postpones a signal and reports whether it was postponed already.
func (l *life) later(sig os.Signal) (again bool) {
	for _, known := range l.postponed {
		if known == sig {
			return true
		}
	}
	l.postponed = append(l.postponed, sig)
	return false
}

// catchUp handles the postponed signals.
func (l *life) catchUp() {
	signals := l.postponed
	l.postponed = nil
	for _, sig := range signals {
		l.obey(sig)
	}
}

// follow takes over what the old process still holds, until it has ended.
func (l *life) follow(old *oldProcess) {
	alone := make(chan struct{})
	l.phase, l.alone = following, alone
	go func() {
		defer close(alone)
		old.receiver.Follow(old.new)
		if err := l.process.WaitForOld(context.Background()); err != nil {
			l.log.Warn("waiting for the end of the old process failed", "err", err)
		}
	}()
}

// errFirstProcess is the reason why the mcplb of a container is not upgraded.
var errFirstProcess = errors.New("this is the first process of its container, and the container would end with it: roll out a new container instead")

// beginUpgrade starts a new process of the binary.
func (l *life) beginUpgrade() {
	if os.Getpid() == 1 {
		l.log.Error("not upgrading", "err", errFirstProcess)
		return
	}
	l.log.Info("upgrading", "binary", os.Args[0], "connections", l.proxy.Connections())
	done := make(chan upgradeResult, 1)
	l.phase, l.upgraded = upgrading, done
	go func() {
		l.mu.Lock() // no reload: the state that was handed over would be outdated
		defer l.mu.Unlock()
		old := &handover.Old{Balancer: l.server.handover(), History: l.history}
		next, err := handover.Begin(l.process, old, build.Version(), l.log)
		done <- upgradeResult{next, err}
	}()
}

// afterUpgrade continues after an upgrade, according to its outcome.
func (l *life) afterUpgrade(result upgradeResult) {
	if result.err != nil {
		l.log.Error("the upgrade failed, this process continues", "err", result.err)
		l.phase = serving
		l.catchUp()
		return
	}
	l.phase, l.next = leaving, result.next
	limit := l.hardStopAfter()
	l.log.Info("the new process serves", "its_pid", l.next.PID(), "connections", l.proxy.Connections(), "hard_stop_after", limit)
	l.note.replaced(l.next.PID())
	for _, sig := range l.postponed {
		l.sendOn(sig.(syscall.Signal))
	}
	l.pages.close()
	l.socket.close()
	l.drain(limit, func(ctx context.Context) {
		if _, err := l.next.Finish(ctx); err != nil {
			l.log.Info("the last connections end in this process", "err", err)
		}
	})
}

// sendOn sends a signal to the process that serves now.
func (l *life) sendOn(sig syscall.Signal) {
	if err := syscall.Kill(l.next.PID(), sig); err != nil {
		l.log.Warn("cannot send a signal to the new process", "signal", sig.String(), "err", err)
	}
}

// drain calls first and then stops the balancer, within limit or until it is cut
// short. The context that it returns ends when draining is cut short.
func (l *life) drain(limit time.Duration, first func(context.Context)) context.Context {
	ctx, cut := context.WithCancelCause(context.Background())
	l.cut = cut
	if limit > 0 {
		time.AfterFunc(limit, func() {
			cut(fmt.Errorf("draining took longer than hard_stop_after (%v)", limit))
		})
	}
	stopped := make(chan error, 1)
	l.stopped = stopped
	go func() {
		first(ctx)
		stopped <- l.proxy.Stop(ctx)
	}()
	return ctx
}
