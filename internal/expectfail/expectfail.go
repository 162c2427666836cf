package expectfail

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Failure runs f as a separate test, and returns its failures, one per line; ""
// = it passed. All other calls of f on its test go to t.
func Failure(t testing.TB, f func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	ended := make(chan struct{})
	go func() { // Fatal ends its goroutine
		defer close(ended)
		f(r)
	}()
	<-ended
	return strings.Join(r.failures, "\n")
}

// recorder is a test that records its failures. Only one goroutine may use it
// at a time.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Error(arguments ...any) { r.Errorf("%s", fmt.Sprint(arguments...)) }
func (r *recorder) Fatal(arguments ...any) { r.Fatalf("%s", fmt.Sprint(arguments...)) }

func (r *recorder) Errorf(format string, arguments ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, arguments...))
}

func (r *recorder) Fatalf(format string, arguments ...any) {
	r.Errorf(format, arguments...)
	runtime.Goexit()
}
