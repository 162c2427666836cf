package healthcheck

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mcplb/backend"
)

// logVerdict logs a change of state in one line, like HAProxy. If no server is left,
// the level is error, as no client can be served.
func (w *watch) logVerdict(result Result) {
	health, left := w.count.health(), w.subject.left()
	level, rest := slog.LevelInfo, "up"
	if health == backend.Down {
		level, rest = slog.LevelWarn, "left"
		if left == 0 {
			level = slog.LevelError
		}
	}
	duration := ""
	if result.Latency > 0 {
		duration = fmt.Sprintf(", check duration %s", brief(result.Latency))
	}
	w.log.Log(context.Background(), level, fmt.Sprintf("server %s is %s, reason: %s%s. %s %s",
		w.subject.name(), verdict(health), result, duration, servers(left), rest))
}

// logDrainRequest logs that a server has begun or ceased to ask to be drained.
func (w *watch) logDrainRequest(result Result) {
	text := "takes new clients again"
	if result.finding() == drains {
		text = "asks to be drained: it gets no new clients"
	}
	w.log.Info(fmt.Sprintf("server %s %s, reason: %s. %s left", w.subject.name(), text, result, servers(w.subject.left())))
}

// logSuspect logs that a server gets fewer clients. For a server that is slow
// repeatedly it logs only once, not at each check.
func (w *watch) logSuspect(now time.Time, reason string) {
	if now.Sub(w.trusted) > w.current.Interval {
		w.log.Info(fmt.Sprintf("server %s is SUSPECT, reason: %s. Others are preferred", w.subject.name(), reason))
	}
}

// logInconclusive logs that checks cannot be made, once for several in a row.
func (w *watch) logInconclusive(result Result) {
	if w.facts.Last.Code == result.Code {
		return
	}
	w.log.Warn(fmt.Sprintf("server %s cannot be checked and stays %s, reason: %s",
		w.subject.name(), verdict(w.count.health()), result))
}

// servers formats a number of servers.
func servers(n int) string {
	if n == 1 {
		return "1 server"
	}
	return fmt.Sprintf("%d servers", n)
}

// brief rounds d to milliseconds or, below one millisecond, to microseconds.
func brief(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
