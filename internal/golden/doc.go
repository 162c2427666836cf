// Package golden compares the output of a test with a file in its testdata
// directory.
//
//	golden.Compare(t, "status.json", got)
//
// go test -update rewrites the files: review the difference before committing
// it. The package compares text exactly and does not normalize it.
package golden
