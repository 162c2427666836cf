//go:build linux

package reactor

import "slices"

// PipeSize is how many bytes a Pipe is asked to hold (F_SETPIPE_SZ, see
// fcntl(2)). An unprivileged process past pipe-user-pages-soft gets less; a
// Pipe then works with less.
const PipeSize = 64 << 10

// Pipe carries bytes from one connection to another inside the kernel
// (splice(2)). It is borrowed from its loop for as long as bytes are in it,
// and given back empty: a connection at rest has none. Only the loop's own
// goroutine may use it.
type Pipe struct {
	r, w int
	held int
}

// Held is how many bytes are in the pipe.
func (p *Pipe) Held() int { return p.held }

// pipePool is one loop's pipes; only that loop's goroutine touches it.
type pipePool struct {
	system *System
	free   []*Pipe
	made   []*Pipe // those free and those lent
	limit  int     // never more than this many made
}

// get lends a pipe, or nil when there are none to be had: copy then.
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

// put takes a pipe back. One with bytes in it is closed: they are nobody's.
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

// close closes every pipe, those too that somebody still has.
func (p *pipePool) close() {
	for len(p.made) > 0 {
		p.destroy(p.made[0])
	}
	p.free = nil
}
