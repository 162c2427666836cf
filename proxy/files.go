package proxy

import (
	"context"
	"fmt"
	"os"
	"sort"

	"mcplb/conf"

	"golang.org/x/sys/unix"
)

// filesPerConnection is how many descriptors a client needs: its socket and its
// server's.
const filesPerConnection = 2

// What descriptors are reserved for, beside clients.
const (
	// processFiles are those of the process: the standard streams, Go's poller, logs,
	// files that are read, and what an upgrade opens beside its sockets.
	processFiles = 24
	filesPerLoop = 2
	// filesPerListener are its socket and, during an upgrade, a copy.
	filesPerListener = 2
	// mostCheckFiles are for checks and look-ups of names: they are short, and seldom
	// under way together.
	mostCheckFiles = 16

	// spareShare is the part of the limit that is reserved for pipes and for the
	// clients of the pages: a sixteenth.
	spareShare = 16
	// mostSpare is what both need at most: 48 pipes, and 64 clients.
	mostSpare = 160
	// leastSpare is kept even where much else is reserved.
	leastSpare = 64
	// usualReserve is the most that is reserved unless there are very many listeners.
	usualReserve = 200
)

// fileBudget says what the descriptors of the process are for. Idle connections to
// servers have no share of their own: they are closed when descriptors run short.
type fileBudget struct {
	limit int // the most that may be open
	fixed int // for the process, its loops, listeners and checks
}

// budget is that of a configuration.
func budget(c *conf.Config, limit int) fileBudget {
	servers := 0
	for _, b := range c.Backends {
		servers += len(b.Servers)
	}
	fixed := processFiles + threads(c)*filesPerLoop + listenersOf(c)*filesPerListener + min(servers+2, mostCheckFiles)
	return fileBudget{limit, fixed}
}

// listenersOf is how many listeners a configuration has.
func listenersOf(c *conf.Config) (n int) {
	for _, address := range []string{c.Admin.Listen, c.Admin.HealthListen} {
		if address != "" {
			n++
		}
	}
	for _, f := range c.Frontends {
		n += len(f.Listen)
	}
	return n
}

// dialCeiling is the number from which on no descriptor is for a connection to a server: what
// is reserved and not open all the time must be left. A client of HTTP/2 has many requests,
// which maxconn does not count, and would take what checks, logs and an upgrade need.
func dialCeiling(c *conf.Config, limit int) int {
	always := processFiles/2 + threads(c)*filesPerLoop + listenersOf(c)
	return limit - budget(c, limit).fixed + always
}

// spare is what pipes and the clients of the pages have.
func (b fileBudget) spare() int {
	spare := min(b.limit/spareShare, mostSpare)
	return min(spare, max(usualReserve-b.fixed, leastSpare))
}

// pipes is how many pipes there may be, of two descriptors each. When they are all
// in use, bytes are copied.
func (b fileBudget) pipes() int { return b.spare() * 3 / 10 }

// PageConnections is how many connections the pages may have where fileLimit is low,
// whatever the configuration allows, so that they take none of the clients'
// descriptors; 0 = as many as configured.
func PageConnections(c *conf.Config, fileLimit int) int {
	b := budget(c, fileLimit)
	if b.limit/spareShare >= mostSpare {
		return 0
	}
	return max(b.spare()-2*b.pipes(), 1)
}

// clients is how many clients there may be; below 1 = the limit is too low.
func (b fileBudget) clients() int { return (b.limit - b.fixed - b.spare()) / filesPerConnection }

// needed is the lowest limit that allows so many clients.
func (b fileBudget) needed(clients int) int {
	low := clients * filesPerConnection
	return low + sort.Search(b.fixed+mostSpare, func(more int) bool {
		return fileBudget{low + more, b.fixed}.clients() >= clients
	})
}

// maxConnections returns how many clients the open-files limit allows, or the
// number that the configuration asks for, if the limit is high enough for it.
func (b fileBudget) maxConnections(asked int) (int, error) {
	allowed := b.clients()
	switch {
	case asked == 0 && allowed < 1:
		return 0, fmt.Errorf("the open-files limit is %d, too low for any client: raise it to %d at least (ulimit -n, or LimitNOFILE= in the systemd unit)", b.limit, b.needed(1))
	case asked == 0:
		return allowed, nil
	case asked > allowed:
		return 0, fmt.Errorf("global.maxconn = %d needs an open-files limit of %d, and it is %d: raise it (ulimit -n, or LimitNOFILE= in the systemd unit) or lower maxconn to %d",
			asked, b.needed(asked), b.limit, max(allowed, 0))
	}
	return asked, nil
}

// MakeRoom closes connections to servers that no request uses until a reload or an
// upgrade finds the descriptors that are reserved for it: such connections use what
// is free, and would make it fail. It returns when there are enough, when none is
// left to close, or when ctx ends.
func (p *Proxy) MakeRoom(ctx context.Context) {
	p.mu.Lock()
	needed := int64(budget(p.config, p.options.FileLimit).fixed)
	p.mu.Unlock()
	for int64(p.options.FileLimit)-openFiles() < needed {
		if p.engine.Shed(ctx) == 0 {
			return
		}
	}
}

// openFiles counts this process's descriptors. Linux reports the number as the
// size of /proc/self/fd since 6.2; before, the directory must be read.
func openFiles() int64 {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/self/fd", &stat); err == nil && stat.Size > 0 {
		return stat.Size
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return int64(len(entries))
}

// residentBytes is the memory in use, as the kernel counts it (proc(5), statm).
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * uint64(os.Getpagesize())
}
