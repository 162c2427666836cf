// Package output collects the output of a program, so that a test can wait for
// a part of it.
//
//	var stderr output.Output
//	command.Stderr = &stderr
//	match := stderr.Await(t, `listening on (\S+)`, exited)
//
// An Output is safe for use by several goroutines, keeps everything, and finds
// a match however the output is split into writes.
package output
