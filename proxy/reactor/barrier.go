//go:build linux

package reactor

// Do runs f on the loop and returns when it has run. It reports false, without
// running f, when the loop has stopped. It must not be called on a loop.
func (l *Loop) Do(f func()) bool {
	done := make(chan struct{})
	posted := l.Post(func() {
		defer close(done)
		f()
	})
	if posted {
		<-done
	}
	return posted
}

// Barrier returns when every loop has run what was posted to it before. It must
// not be called on a loop.
func (e *Engine) Barrier() {
	for _, loop := range e.loops {
		loop.Do(func() {})
	}
}
