// Package golden compares what a test got with a file that says what it should be.
// go test -update rewrites such files: look at the difference before it is
// committed.
package golden
