package output

import (
	"bytes"
	"regexp"
	"sync"
	"testing"
	"time"

	"mcplb/internal/endpoint"
)

// Output is an io.Writer that keeps everything written. The zero value is empty
// and ready for use. It is safe for concurrent use.
type Output struct {
	mu      sync.Mutex
	text    bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed at the next change
}

// Write keeps data. It never fails.
func (o *Output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return o.text.Write(data)
}

// String returns the text so far.
func (o *Output) String() string {
	text, _ := o.look()
	return text
}

// look returns the text so far and a channel that is closed when there is more.
func (o *Output) look() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.text.String(), o.changed
}

// Await waits until the text matches a regular expression, and returns the
// match with its groups. It fails the test if that takes longer than
// endpoint.Patience, or if ended is closed, which says that nothing more will
// be written; nil = never.
func (o *Output) Await(t testing.TB, pattern string, ended <-chan struct{}) []string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	for deadline, over := time.After(endpoint.Patience), false; ; {
		text, more := o.look()
		if match := expression.FindStringSubmatch(text); match != nil {
			return match
		}
		if over {
			t.Fatalf("the output ended without %q in %q", pattern, text)
		}
		select {
		case <-more:
		case <-ended:
			over = true // match once more against the last output
		case <-deadline:
			t.Fatalf("%q does not appear in %q", pattern, text)
		}
	}
}
