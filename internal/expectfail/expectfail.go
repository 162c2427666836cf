package expectfail

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Failure runs f as a test of its own, and returns what it failed with, a line
// for each failure; "" = it passed. Whatever else f does to its test, it does to t.
func Failure(t testing.TB, f func(testing.TB)) string {
	t.Helper()
	w := &witness{TB: t}
	ended := make(chan struct{})
	go func() { // Fatal ends its goroutine
		defer close(ended)
		f(w)
	}()
	<-ended
	return strings.Join(w.failures, "\n")
}

// witness is a test that sees itself fail. It is for one goroutine at a time.
type witness struct {
	testing.TB
	failures []string
}

func (w *witness) Error(arguments ...any) { w.Errorf("%s", fmt.Sprint(arguments...)) }
func (w *witness) Fatal(arguments ...any) { w.Fatalf("%s", fmt.Sprint(arguments...)) }

func (w *witness) Errorf(format string, arguments ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, arguments...))
}

func (w *witness) Fatalf(format string, arguments ...any) {
	w.Errorf(format, arguments...)
	runtime.Goexit()
}
