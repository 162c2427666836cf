package rules

import "testing"

// A deny by a header also holds for the spellings that some servers take for it:
// whoever writes X.Tenant must not pass where X-Tenant is refused.
func TestIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field          string
		exact, loosely bool
	}{
		{"X-Tenant", true, true}, {"x-tenant", true, true}, {"X_Tenant", false, true}, {"X.Tenant", false, true}, {"x~tenant", false, true},
		{"X-Tenan", false, false}, {"XaTenant", false, false}, {"X-Tenant_", false, false},
	} {
		for loosely, want := range map[bool]bool{false: c.exact, true: c.loosely} {
			if got := isNamed([]byte(c.field), "X-Tenant", loosely); got != want {
				t.Errorf("%s, loosely %v: %v, want %v", c.field, loosely, got, want)
			}
		}
	}
}
