package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// notifier tells the service manager how the process is, by sd_notify(3).
// Without NOTIFY_SOCKET in the environment it does nothing.
//
//	when                                     says
//	everything is served                     READY, STATUS
//	a reload begins                          RELOADING with MONOTONIC_USEC
//	it has ended, well or not                READY, STATUS
//	an upgrade's new process has taken over  MAINPID, STATUS
//	draining begins                          STOPPING, EXTEND_TIMEOUT_USEC, STATUS
//	every event loop has turned              WATCHDOG
type notifier struct {
	log      *slog.Logger
	watchdog time.Duration // a WATCHDOG is due within; 0 = none is wanted
}

// newNotifier reads the environment, of which it takes WATCHDOG_PID away: it
// names this process, and one that takes over is watched, too.
func newNotifier(log *slog.Logger) *notifier {
	n := &notifier{log: log}
	var err error
	if n.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Warn("the service manager's watchdog is not served", "err", err)
	}
	os.Unsetenv("WATCHDOG_PID")
	return n
}

// say sends assignments, one message.
func (n *notifier) say(assignments ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		n.log.Warn("the service manager is not told", "err", err)
	}
}

func (n *notifier) ready(status string) { n.say(daemon.SdNotifyReady, "STATUS="+status) }

// reloading says that a reload begins, and when that is on CLOCK_MONOTONIC:
// the manager must know that READY came after its signal (Type=notify-reload).
func (n *notifier) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		n.log.Warn("the service manager is not told of a reload", "err", err)
		return
	}
	n.say(daemon.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// replaced says that another process of the service is the one to watch from
// now on. Only the one that was watched until now may say so, and what the other
// has said of itself before that was not heard.
func (n *notifier) replaced(pid int) { n.say(fmt.Sprintf("MAINPID=%d", pid), "STATUS=serving") }

const (
	stopMargin  = 10 * time.Second // for the end itself, behind hard_stop_after
	withoutEnd  = time.Minute      // the manager is asked for so much at a time where draining has no limit
	extendEvery = withoutEnd / 2
)

// stopping says that draining begins, and that it may take until limit (0 =
// for ever); it goes on saying so until ctx ends.
func (n *notifier) stopping(ctx context.Context, limit time.Duration, status string) {
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

// watch tells the watchdog that the process lives whenever turn returns, which
// it is to do once every event loop has turned: one that hangs ends this, and
// the manager then the process. It returns when ctx ends; without a watchdog
// at once.
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
