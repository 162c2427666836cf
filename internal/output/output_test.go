package output

import (
	"fmt"
	"strings"
	"testing"

	"mcplb/internal/expectfail"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestAwait finds text written last, and in pieces.
func TestAwait(t *testing.T) {
	t.Parallel()
	var o Output
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, piece := range []string{"it ", "serves on ", "80", "80\n"} {
			fmt.Fprint(&o, piece)
		}
	}()
	if match := o.Await(t, `on (\d+)\n`, ended); match[1] != "8080" {
		t.Errorf("%q", match)
	}
	<-ended
	if match := o.Await(t, "^it", ended); match[0] != "it" || o.String() != "it serves on 8080\n" {
		t.Errorf("%q in %q", match, &o)
	}
}

// TestAwaitFails checks that Await does not wait after the end.
func TestAwaitFails(t *testing.T) {
	t.Parallel()
	var o Output
	fmt.Fprint(&o, "good bye")
	ended := make(chan struct{})
	close(ended)
	got := expectfail.Failure(t, func(t testing.TB) { o.Await(t, "hello", ended) })
	if !strings.Contains(got, `without "hello" in "good bye"`) {
		t.Errorf("it fails with %q", got)
	}
}
