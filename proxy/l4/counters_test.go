package l4

import (
	"testing"

	"mcplb/internal/metricstest"
)

func TestCountersListed(t *testing.T) {
	t.Parallel()
	metricstest.Complete(t, &Counters{})
}
