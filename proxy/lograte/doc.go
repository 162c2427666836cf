// Package lograte bounds how often a log line is repeated, so that a flood of
// failures fills no disk and the first of them is seen all the same.
//
//	l := lograte.New(10*time.Second, 5)
//	if omitted, ok := l.Allow(); ok {
//		log.Warn("command refused", "omitted", omitted)
//	}
//
// It writes nothing itself and knows no line.
package lograte
