package proxy

import (
	"strings"
	"testing"

	"mcplb/healthcheck"
	"mcplb/proxy/admin"
)

// Every result of a check is explained on the page: a code without words helps nobody who
// does not know HAProxy.
func TestEveryCheckCodeIsExplained(t *testing.T) {
	t.Parallel()
	n := 0
	for code := healthcheck.Code(0); !strings.HasPrefix(code.String(), "Code("); code++ {
		n++
		if admin.CheckCode(code.String()) == "" {
			t.Errorf("%s is not explained", code)
		}
	}
	if n < 9 {
		t.Errorf("only %d codes", n)
	}
}
