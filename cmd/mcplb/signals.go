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

// phase is where a process stands in its life, as far as signals matter. One
// goroutine runs through it (obey), so signals are obeyed one after the other.
//
//	phase      HUP              USR2               TERM, INT        otherwise
//	following  reload           put off            draining         the process before has ended: serving,
//	                                                                and what was put off
//	serving    reload           upgrading          draining
//	upgrading  put off          logged: under way  put off; again:  the new process serves: leaving, what was
//	                                               the new process  put off goes to it
//	                                               is ended         it does not: serving, and what was put off
//	leaving    sent on to the   logged: too late   stop at once     nobody is left, or hard_stop_after: ended
//	           new process
//	draining   only the access  logged: too late   stop at once     nobody is left, or hard_stop_after: ended
//	           log is reopened
//
// A process that is being started obeys no signal before it serves: they wait.
// In leaving and draining it takes no clients any more; in following another
// process still has some of the line's.
type phase uint8

const (
	serving phase = iota
	following
	upgrading
	leaving
	draining
)

// life is a running server and what is under way.
type life struct {
	*server
	phase   phase
	signals <-chan os.Signal
	putOff  []os.Signal // in their order, each once

	alone    <-chan struct{} // following: closed when the process before has ended
	upgraded <-chan upgradeResult
	next     *handover.HandOver // leaving
	stopped  <-chan error
	cut      context.CancelCauseFunc // leaving and draining: stop at once
}

// upgradeResult is what came of an upgrade.
type upgradeResult struct {
	next *handover.HandOver
	err  error
}

// errSecondSignal says why draining was cut short.
var errSecondSignal = errors.New("told to stop a second time")

// obey obeys signals until the balancer has stopped, and returns the exit
// status.
func (s *server) obey(signals <-chan os.Signal, inherited *handover.Inheritance) int {
	l := &life{server: s, signals: signals}
	if inherited != nil {
		l.follow(inherited)
	}
	for {
		select {
		case sig := <-signals:
			l.obey(sig)
		case <-l.renewal:
			l.upgrade()
		case <-l.alone:
			l.alone, l.phase = nil, serving
			taken := l.proxy.TakenOver()
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

// obey obeys one signal.
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

// hangUp obeys SIGHUP.
func (l *life) hangUp() {
	switch l.phase {
	case serving, following:
		_, _ = l.reload() // what is wrong is logged
	case upgrading:
		l.later(syscall.SIGHUP)
	case leaving:
		l.sendOn(syscall.SIGHUP)
	case draining:
		l.reopenLog()
		l.log.Warn("not reloading", "err", proxy.ErrDraining)
	}
}

// upgrade obeys SIGUSR2.
func (l *life) upgrade() {
	switch l.phase {
	case serving:
		l.beginUpgrade()
	case following:
		l.log.Info("the upgrade waits until the process before has ended")
		l.later(syscall.SIGUSR2)
	case upgrading:
		l.log.Warn("not upgrading: an upgrade is under way")
	default:
		l.log.Warn("not upgrading: this process is about to end")
	}
}

// terminate obeys SIGTERM and SIGINT.
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
		l.log.Info("stopping when the upgrade under way has ended, or at another signal", "signal", sig.String())
	default:
		l.cut(errSecondSignal)
	}
}

// later puts a signal off, and tells whether it was put off already.
func (l *life) later(sig os.Signal) (again bool) {
	for _, known := range l.putOff {
		if known == sig {
			return true
		}
	}
	l.putOff = append(l.putOff, sig)
	return false
}

// catchUp obeys what was put off.
func (l *life) catchUp() {
	signals := l.putOff
	l.putOff = nil
	for _, sig := range signals {
		l.obey(sig)
	}
}

// follow takes in what the process before still holds, until it has ended.
func (l *life) follow(inherited *handover.Inheritance) {
	alone := make(chan struct{})
	l.phase, l.alone = following, alone
	go func() {
		defer close(alone)
		inherited.Rest(handing{l.server})
		if err := l.process.Alone(context.Background()); err != nil {
			l.log.Warn("the end of the process before", "err", err)
		}
	}()
}

// errFirstProcess says why a container's mcplb is not upgraded.
var errFirstProcess = errors.New("this is the first process of its container, which would end with it: roll out a new container instead")

// beginUpgrade starts the binary anew.
func (l *life) beginUpgrade() {
	if os.Getpid() == 1 {
		l.log.Error("not upgrading", "err", errFirstProcess)
		return
	}
	l.log.Info("upgrading", "binary", os.Args[0], "connections", l.proxy.Connections())
	done := make(chan upgradeResult, 1)
	l.phase, l.upgraded = upgrading, done
	go func() {
		l.mu.Lock() // no reload: what was handed over would not hold any more
		defer l.mu.Unlock()
		next, err := handover.Begin(l.process, handing{l.server}, build.Version(), l.log)
		if err == nil {
			l.proxy.Leave()
		}
		done <- upgradeResult{next, err}
	}()
}

// afterUpgrade goes on as what came of the upgrade says.
func (l *life) afterUpgrade(result upgradeResult) {
	if result.err != nil {
		l.log.Error("the upgrade failed, this process goes on", "err", result.err)
		l.phase = serving
		l.catchUp()
		return
	}
	l.phase, l.next = leaving, result.next
	limit := l.hardStopAfter()
	l.log.Info("the new process serves", "its_pid", l.next.PID(), "connections", l.proxy.Connections(), "hard_stop_after", limit)
	l.note.replaced(l.next.PID())
	for _, sig := range l.putOff {
		l.sendOn(sig.(syscall.Signal))
	}
	l.pages.close()
	l.drain(limit, func(ctx context.Context) {
		if _, err := l.next.Finish(ctx); err != nil {
			l.log.Info("the last connections end in this process", "err", err)
		}
	})
}

// sendOn gives a signal to the process that serves now.
func (l *life) sendOn(sig syscall.Signal) {
	if err := syscall.Kill(l.next.PID(), sig); err != nil {
		l.log.Warn("the new process did not get a signal", "signal", sig.String(), "err", err)
	}
}

// drain stops the balancer, within limit or when it is cut; first is what to do
// before. The context ends when draining does not go on.
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
