package l7

import (
	"testing"

	"mcplb/proxy/session"
)

// Every state of a client and of its exchange has a name: an operator who looks for the
// clients that hang must see what each waits for.
func TestStatesHaveNames(t *testing.T) {
	t.Parallel()
	for s := range states {
		for stage := session.StageHeader; stage <= session.StageEntered; stage++ {
			for exchange := range exchangeStates {
				c := &client{}
				c.state, c.Stage, c.exchange.state = s, stage, exchange
				if c.stateName() == "" {
					t.Errorf("state %d, stage %d, exchange %d has no name", s, stage, exchange)
				}
			}
		}
	}
}
