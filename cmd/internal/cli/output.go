package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// Output is a program's standard output, which remembers that something could not be
// written to it, to a full disk for example. Most commands print line by line and
// do not look at each error; Exit does so for all of them. Any number of goroutines
// may use it.
type Output struct {
	to  io.Writer
	mu  sync.Mutex
	err error // of the first write that failed
}

// NewOutput returns an Output that writes to to, which is not buffered.
func NewOutput(to io.Writer) *Output { return &Output{to: to} }

// Write is that of io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// Exit returns the exit status of a program that would end with status: 1 if it would
// be 0 but not everything could be written, which it then says on stderr.
func (o *Output) Exit(program string, status int, stderr io.Writer) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if status != 0 || o.err == nil {
		return status
	}
	fmt.Fprintf(stderr, "%s: the output is not complete: %v\n", program, o.err)
	return statusFailed
}

// File returns the file that w writes to, directly or as an Output.
func File(w io.Writer) (file *os.File, ok bool) {
	if o, wrapped := w.(*Output); wrapped {
		w = o.to
	}
	file, ok = w.(*os.File)
	return file, ok
}
