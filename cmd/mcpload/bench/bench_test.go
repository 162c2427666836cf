package bench

import (
	"slices"
	"testing"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestScalingSizes(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{50: 1, 100: 1, 8000: 3, 9_999_999: 5} {
		if sizes := scalingSizes(limit); len(sizes) != want || sizes[len(sizes)-1] > limit {
			t.Errorf("%d: %v", limit, sizes)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	if chosen, err := Choose([]string{"all"}); err != nil || len(chosen) != 5 {
		t.Errorf("all: %d, %v", len(chosen), err)
	}
	if chosen, err := Choose([]string{"failure", "scaling"}); err != nil || len(chosen) != 2 || chosen[0].Name != "failure" {
		t.Errorf("two: %+v, %v", chosen, err)
	}
	for _, names := range [][]string{nil, {"x"}, {"all", "scaling"}} {
		if chosen, err := Choose(names); err == nil {
			t.Errorf("%v: %+v", names, chosen)
		}
	}
}

func TestAlive(t *testing.T) {
	t.Parallel()
	if got := alive([]int{330, 2, 340, 328}); !slices.Equal(got, []int{330, 340, 328}) {
		t.Errorf("%v", got)
	}
}
