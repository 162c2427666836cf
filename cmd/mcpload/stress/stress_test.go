package stress

import (
	"testing"
	"time"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestValidate(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"":                         {Size: 4, Load: time.Second, Only: "scaling"},
		"-size must be at least 4": {Size: 3},
		`there is no group "x"`:    {Size: 4, Only: "x"},
	} {
		got := ""
		if err := o.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%+v: %q, want %q", o, got, want)
		}
	}
}

// 2% is less than one session of each of four kinds on four nodes up to 800 clients.
func TestEvenness(t *testing.T) {
	t.Parallel()
	for clients, want := range map[int]float64{0: 1600.01, 400: 4.01, 1000: 2} {
		if got := evenness(clients, 4); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%d clients: %v, want %v", clients, got, want)
		}
	}
}
