package l4

import (
	"testing"

	"mcplb/proxy/session"
)

// Every state of a client has a name: an operator who looks for the clients that hang
// must see what each waits for.
func TestStatesHaveNames(t *testing.T) {
	t.Parallel()
	for s := range states {
		stage, dispatch := session.StageHeader, session.Idle
		if name := stateName(s, stage, dispatch); name == "" {
			t.Errorf("state %d has no name", s)
		}
	}
	seen := map[string]bool{}
	for stage := session.StageHeader; stage <= session.StageEntered; stage++ {
		seen[stateName(entering, stage, session.Idle)] = true
	}
	for dispatch := session.Idle; dispatch <= session.Pausing; dispatch++ {
		seen[stateName(dispatching, session.StageEntered, dispatch)] = true
	}
	if seen[""] || len(seen) != int(session.StageEntered)+1+int(session.Pausing)+1 {
		t.Errorf("the names within entering and dispatching are %v", seen)
	}
}
