//go:build linux

package reactor

import "slices"

// PipeSize is the capacity requested for a Pipe, in bytes (F_SETPIPE_SZ, see
// fcntl(2)). An unprivileged process past pipe-user-pages-soft gets less, and
// the Pipe works with that.
const PipeSize = 64 << 10

// Pipe carries bytes from one connection to another inside the kernel
// (splice(2)). It is borrowed from the loop while bytes are in it and returned
// empty: an idle connection has none. Only the loop's goroutine may use it.
type Pipe struct {
	r, w int
	held int
}

// Held returns the number of bytes in the pipe.
func (p *Pipe) Held() int { return p.held }

// pipePool holds the pipes of one loop, whose goroutine alone uses it.
type pipePool struct {
	system *System
	free   []*Pipe
	made   []*Pipe // free or lent
	limit  int     // of len(made)
}

// get lends a pipe, or nil if none is available: the caller copies then.
func (p *pipePool) get() *Pipe {
	if n := len(p.free); n > 0 {
		pipe := p.free[n-1]
		p.free = p.free[:n-1]
		return pipe
	}
	if len(p.made) >= p.limit {
		return nil
	}
	r, w, errno := p.system.Pipe(PipeSize)
	if errno != 0 {
		return nil
	}
	pipe := &Pipe{r: r, w: w}
	p.made = append(p.made, pipe)
	return pipe
}

// put takes a pipe back. It closes a pipe that still holds bytes, since they
// must not reach another connection.
func (p *pipePool) put(pipe *Pipe) {
	if pipe.held != 0 {
		p.destroy(pipe)
		return
	}
	p.free = append(p.free, pipe)
}

func (p *pipePool) destroy(pipe *Pipe) {
	p.system.Close(pipe.r)
	p.system.Close(pipe.w)
	p.made = slices.DeleteFunc(p.made, func(other *Pipe) bool { return other == pipe })
}

// release closes the pipes that are not lent, and returns how many descriptors they
// had.
func (p *pipePool) release() int {
	n := len(p.free)
	for _, pipe := range p.free {
		p.destroy(pipe)
	}
	clear(p.free)
	p.free = p.free[:0]
	return 2 * n
}

// close closes all pipes, including those lent.
func (p *pipePool) close() {
	for len(p.made) > 0 {
		p.destroy(p.made[0])
	}
	p.free = nil
}
