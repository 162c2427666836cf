package admin

import (
	"time"

	tokens "golang.org/x/time/rate"
)

// pace makes a flood wait: what comes faster than it waits its turn. Any goroutine may
// use it.
type pace struct {
	limiter *tokens.Limiter
	longest time.Duration // that anything waits
}

func newPace(perSecond tokens.Limit, burst int, longest time.Duration) *pace {
	return &pace{tokens.NewLimiter(perSecond, burst), longest}
}

// wait waits for a turn, or until gone is closed. It reports false at once if that would
// take too long.
func (p *pace) wait(gone <-chan struct{}) bool {
	turn := p.limiter.Reserve()
	delay := turn.Delay()
	if delay == 0 {
		return true
	}
	if delay > p.longest {
		turn.Cancel()
		return false
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-gone:
		turn.Cancel()
		return false
	}
}
