package proxy

import (
	"log/slog"
	"time"

	"mcplb/proxy/lograte"
	"mcplb/ratelimit"
)

// Automatic bans are logged up to a burst, and then one per interval: an attack from
// many addresses must not fill the disk.
const (
	banLogBurst    = 50
	banLogInterval = time.Second
)

// banLogger returns what logs each automatic ban: without the line, a client that is
// refused, and its operator, would have to guess why. A loop calls it.
func banLogger(log *slog.Logger) func(ratelimit.Ban) {
	lines := lograte.New(banLogInterval, banLogBurst)
	return func(b ratelimit.Ban) {
		omitted, ok := lines.Allow()
		if !ok {
			return
		}
		lasting := "until it is lifted"
		if b.Remaining > 0 {
			lasting = b.Remaining.String()
		}
		source := showSource(b.Source)
		log.Warn("source banned", "source", source, "reason", b.Reason.String(), "violations", b.Violations, "for", lasting,
			"lift", "mcplb unban "+source, "omitted", omitted)
	}
}
