package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// notifier reports the state of the process to the service manager, by sd_notify(3).
// Without NOTIFY_SOCKET in the environment it does nothing.
//
//	event                                    message
//	the balancer serves                      READY, STATUS
//	a reload begins                          RELOADING with MONOTONIC_USEC
//	a reload has succeeded or failed         READY, STATUS
//	an upgrade's new process has taken over  MAINPID, STATUS
//	draining begins                          STOPPING, EXTEND_TIMEOUT_USEC, STATUS
//	every event loop has turned              WATCHDOG
type notifier struct {
	log      *slog.Logger
	watchdog time.Duration // the longest time between two WATCHDOG messages; 0 = none are required
	ending   atomic.Bool   // the process does not serve any more: no reload in progress may say otherwise
}

// newNotifier reads the environment. It removes WATCHDOG_PID, which names this
// process: the new process of an upgrade is watched, too.
func newNotifier(log *slog.Logger) *notifier {
	n := &notifier{log: log}
	var err error
	if n.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Warn("cannot serve the service manager's watchdog", "err", err)
	}
	os.Unsetenv("WATCHDOG_PID")
	return n
}

// say sends one message of assignments.
func (n *notifier) say(assignments ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		n.log.Warn("cannot notify the service manager", "err", err)
	}
}

// ready reports that the balancer serves.
func (n *notifier) ready(status string) {
	if !n.ending.Load() {
		n.say(daemon.SdNotifyReady, "STATUS="+status)
	}
}

// reloading reports that a reload begins, with the time on CLOCK_MONOTONIC: the
// manager must know that READY came after its signal (Type=notify-reload).
func (n *notifier) reloading() {
	if n.ending.Load() {
		return
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		n.log.Warn("cannot notify the service manager of a reload", "err", err)
		return
	}
	n.say(daemon.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// replaced reports that another process of the service is its main process from now
// on. Only the present main process may report this, and the manager has ignored all
// earlier messages of the other process.
func (n *notifier) replaced(pid int) {
	n.ending.Store(true)
	n.say(fmt.Sprintf("MAINPID=%d", pid), "STATUS=serving")
}

const (
	stopMargin  = 10 * time.Second // for the exit after hard_stop_after
	withoutEnd  = time.Minute      // the extension to request at a time if draining has no limit
	extendEvery = withoutEnd / 2
)

// stopping reports that draining begins, and that it may take for limit (0 =
// forever). It repeats that until ctx ends.
func (n *notifier) stopping(ctx context.Context, limit time.Duration, status string) {
	n.ending.Store(true)
	wanted := limit + stopMargin
	if limit == 0 {
		wanted = withoutEnd
	}
	extend := fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", wanted.Microseconds())
	n.say(daemon.SdNotifyStopping, extend, "STATUS="+status)
	if limit > 0 {
		return
	}
	go n.repeat(ctx, extendEvery, func() { n.say(extend) })
}

// watch notifies the watchdog whenever turn returns without an error, which it must
// do once every event loop has turned. If a loop hangs, the notifications stop and
// the manager ends the process. watch returns when ctx ends; without a watchdog, at
// once.
func (n *notifier) watch(ctx context.Context, turn func(context.Context) error) {
	if n.watchdog == 0 {
		return
	}
	n.repeat(ctx, n.watchdog/3, func() {
		if turn(ctx) == nil {
			n.say(daemon.SdNotifyWatchdog)
		}
	})
}

// repeat calls f at once and at every tick until ctx ends.
func (n *notifier) repeat(ctx context.Context, every time.Duration, f func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for f(); ; f() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
