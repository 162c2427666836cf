package healthcheck

import (
	"context"
	"sync"

	"mcplb/conf"
)

// Once checks a server once, as check says. It returns soon after ctx ends, or, if the
// check has asked for an MCP session, when that is ended or the server has not answered
// for lateAnswer and endWithin.
func Once(ctx context.Context, check conf.Check, to Target) Result {
	var endings sync.WaitGroup
	defer endings.Wait()
	return probe(probeServer).timed(ctx, check, target{Target: to, memory: &memory{endings: &endings}})
}

// Passed reports whether the result speaks for the server.
func (r Result) Passed() bool { return r.finding().alive() }
