package l4

import (
	"testing"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/session"
)

// A frontend's balance overrides its backend's.
func TestBalanceOfTheFrontend(t *testing.T) {
	t.Parallel()
	b := start(t, []string{"127.0.0.1:1"})
	settings := *b.frontend.Settings()
	if got := settings.Balance(); got != conf.BalanceRoundRobin {
		t.Errorf("the policy is %s, want the backend's", got)
	}
	settings.Frontend.Balance = conf.BalanceRandom
	if got := settings.Balance(); got != conf.BalanceRandom {
		t.Errorf("the policy is %s, want the frontend's", got)
	}
}

func TestPeak(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := start(t, []string{s.Address})
	first, second := b.ping(), b.ping()
	first.Close()
	second.Close()
	b.expect(session.ClientClosed, 2)
	b.ping()
	if current, peak := b.frontend.Current(), b.frontend.Peak(); current != 1 || peak != 2 {
		t.Errorf("%d sessions, %d at most, want 1 and 2", current, peak)
	}
	totals := b.frontend.Totals()
	if totals.Connect.Count != 3 || totals.Connect.Max <= 0 || totals.Connect.Sum < totals.Connect.Max {
		t.Errorf("connecting took %+v, want three that took some time", totals.Connect)
	}
}
