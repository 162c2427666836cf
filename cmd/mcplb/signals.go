package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mcplb/cmd/internal/build"
	"mcplb/proxy"
	"mcplb/proxy/handover"
)

// signals are those that the process obeys. Each kind has a channel: none can fill
// that of another, and those of a kind that wait are one, except to stop.
type signals struct {
	stop            chan os.Signal // SIGTERM, SIGINT, SIGQUIT
	reload, upgrade chan os.Signal // SIGHUP, SIGUSR2
}

// catchSignals handles the signals from now on.
func catchSignals() *signals {
	s := &signals{stop: make(chan os.Signal, 4), reload: make(chan os.Signal, 1), upgrade: make(chan os.Signal, 1)}
	signal.Notify(s.stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT) // nginx's image stops by QUIT
	signal.Notify(s.reload, syscall.SIGHUP)
	signal.Notify(s.upgrade, syscall.SIGUSR2)
	return s
}

func (s *signals) close() {
	for _, c := range []chan os.Signal{s.stop, s.reload, s.upgrade} {
		signal.Stop(c)
	}
}

// phase is the phase of a process, which decides what signals do. One goroutine (obey)
// runs through the phases and handles one signal after another, without waiting for
// anything.
//
//	phase      HUP              USR2                 TERM, INT, QUIT     other events
//	following  reload           postponed            draining            the old process has ended: serving,
//	                                                                     then the postponed signals
//	serving    reload           upgrading            draining
//	upgrading  postponed        logged: in progress  until the new       the new process serves: leaving, and the
//	                                                 process takes over, postponed signals are sent to it;
//	                                                 the upgrade ends:   it fails: serving, then the postponed signals;
//	                                                 draining. Then it   a signal has ended it: draining
//	                                                 is postponed; again:
//	                                                 the new process is stopped
//	leaving    sent to the      logged: too late     stop at once        no client left, or hard_stop_after: ended
//	           new process
//	draining   only the access  logged: too late     stop at once        no client left, or hard_stop_after: ended
//	           log is reopened
//
// A reload runs beside the phases. HUP during one makes another follow it; USR2 does
// not wait for it: what it has read by the time is applied, or the new process is
// asked to reload. TERM does not wait for it either.
//
// A starting process handles TERM and INT at once (startup.go); the others wait until
// it serves. In leaving and draining, it accepts no clients any more. In following,
// the old process still holds some clients.
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
	postponed []os.Signal // in their order, each once

	reloadNow func()          // server.reload, which logs its outcome
	reloaded  <-chan struct{} // a reload is in progress; closed at its end
	again     bool            // another one is to follow

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
func (s *server) obey(signals *signals, begun startup) int {
	l := &life{server: s, reloadNow: func() { _, _ = s.reload(context.Background()) }}
	if begun.old != nil {
		l.follow(begun.old)
	}
	for _, sig := range begun.early {
		l.terminate(sig)
	}
	for {
		select {
		case sig := <-signals.stop:
			l.terminate(sig)
		case <-signals.reload:
			l.hangUp()
		case <-signals.upgrade:
			l.upgrade()
		case <-l.renewal:
			l.upgrade()
		case <-l.reloaded:
			l.afterReload()
		case <-l.alone:
			l.afterOld(begun.old)
		case result := <-l.upgraded:
			l.upgraded = nil
			l.postponeStops(signals.stop)
			l.afterUpgrade(result)
		case err := <-l.stopped:
			return l.ended(err)
		}
	}
}

// obey handles a signal that was postponed.
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
		l.beginReload()
	case upgrading:
		l.later(syscall.SIGHUP)
	case leaving:
		l.sendOn(syscall.SIGHUP)
	case draining:
		go l.reopenLog()
		l.log.Warn("not reloading", "err", proxy.ErrDraining)
	}
}

// beginReload starts a reload, or makes one follow that in progress.
func (l *life) beginReload() {
	if l.reloaded != nil {
		if !l.again {
			l.log.Info("another reload follows the one in progress")
		}
		l.again = true
		return
	}
	done := make(chan struct{})
	l.reloaded = done
	go func() {
		defer close(done)
		l.reloadNow()
	}()
}

// afterReload continues after a reload.
func (l *life) afterReload() {
	again := l.again
	l.reloaded, l.again = nil, false
	if again && l.phase != draining {
		l.hangUp()
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

// terminate handles SIGTERM, SIGINT and SIGQUIT.
func (l *life) terminate(sig os.Signal) {
	switch l.phase {
	case serving, following:
		l.beginDraining(sig)
	case upgrading:
		l.terminateUpgrade(sig)
	default:
		l.cut(errSecondSignal)
	}
}

// beginDraining stops the balancer in its time.
func (l *life) beginDraining(sig os.Signal) {
	limit := l.hardStopAfter()
	l.log.Info("draining", "signal", sig.String(), "connections", l.proxy.Connections(), "hard_stop_after", limit)
	l.phase = draining
	l.note.stopping(l.drain(limit, func(context.Context) {}), limit, "draining")
}

// terminateUpgrade handles a signal to stop during an upgrade: it ends the new process
// while that has nothing, and otherwise whichever process serves after it.
func (l *life) terminateUpgrade(sig os.Signal) {
	switch {
	case l.process.Cancel():
		l.log.Warn("the upgrade failed: the balancer is to stop", "signal", sig.String())
		l.upgraded = nil
		l.beginDraining(sig)
	case l.later(syscall.SIGTERM):
		l.process.Stop()
	default:
		l.log.Info("stopping when the new process has taken over, or at another signal", "signal", sig.String())
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

// postponeStops postpones the signals to stop that have come beside the outcome of an
// upgrade: whoever sent them cannot know it, and means the process that serves.
func (l *life) postponeStops(stop <-chan os.Signal) {
	for {
		select {
		case <-stop:
			l.later(syscall.SIGTERM)
		default:
			return
		}
	}
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

// afterOld continues when the old process has ended.
func (l *life) afterOld(old *oldProcess) {
	l.alone = nil
	taken := old.new.TakenOver()
	l.log.Info("the process before has ended", "connections_taken_over", taken.Connections,
		"pause_p50", taken.P50, "pause_p99", taken.P99, "pause_max", taken.Most)
	if l.phase == following {
		l.phase = serving
		l.catchUp()
	}
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
		next, err := l.handOver()
		done <- upgradeResult{next, err}
	}()
}

// handOver starts a new process and hands the balancer over to it.
func (s *server) handOver() (*handover.Sender, error) {
	s.applying.Lock() // no reload: the state that was handed over would be outdated
	defer s.applying.Unlock()
	s.makeRoom(context.Background())
	old := &handover.Old{Balancer: s.handover(), History: s.history}
	next, err := handover.Begin(s.process, old, build.Version(), s.log)
	s.left = err == nil
	return next, err
}

// afterUpgrade continues after an upgrade, according to its outcome.
func (l *life) afterUpgrade(result upgradeResult) {
	if result.err != nil {
		l.upgradeFailed(result.err)
		return
	}
	l.phase, l.next = leaving, result.next
	limit := l.hardStopAfter()
	l.log.Info("the new process serves", "its_pid", l.next.PID(), "connections", l.proxy.Connections(), "hard_stop_after", limit)
	l.note.replaced(l.next.PID())
	if l.reloaded != nil { // its outcome is lost here
		l.later(syscall.SIGHUP)
	}
	for _, sig := range l.postponed {
		l.sendOn(sig.(syscall.Signal))
	}
	l.drain(limit, func(ctx context.Context) {
		l.pages.close()
		l.socket.close()
		if _, err := l.next.Finish(ctx); err != nil {
			l.log.Info("the last connections end in this process", "err", err)
		}
	})
}

// upgradeFailed continues in this process.
func (l *life) upgradeFailed(err error) {
	if err := l.process.Stay(); err != nil {
		l.log.Error("the pid file does not name this process", "err", err)
	}
	l.restoreSocket()
	l.log.Error("the upgrade failed, this process continues", "err", err)
	l.phase = serving
	if errors.Is(err, handover.ErrStopped) {
		l.later(syscall.SIGTERM)
	}
	l.catchUp()
}

// restoreSocket puts the stats socket into its place again, which the new process may
// have taken.
func (s *server) restoreSocket() {
	s.mu.Lock()
	path := s.config.Admin.StatsSocket
	s.mu.Unlock()
	opened, err := s.socket.open(path)
	if err != nil {
		s.log.Error("the stats socket is not served", "err", err)
		return
	}
	s.socket.apply(path, opened, s.log)
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
