package session

import "testing"

// Every stage and every state of a dispatch has a name of its own, which status shows.
func TestStatesHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for s := range stages {
		seen[s.String()] = true
	}
	for s := range dispatchStates {
		seen[s.String()] = true
	}
	if seen[""] || len(seen) != int(stages)+int(dispatchStates) {
		t.Errorf("names: %v", seen)
	}
}
