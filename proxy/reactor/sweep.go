//go:build linux

package reactor

// sweepPerTurn is how many places of the table Sweep visits per turn.
const sweepPerTurn = 2048

// Find returns the connection with that ID, nil when it is gone. Only the
// loop's goroutine may call it.
func (l *Loop) Find(id uint64) *Conn { return l.conns.find(uint32(id), uint32(id>>32)) }

// Sweep calls visit for every connection on the loop, listeners included, and
// then done. It spreads the visits over several turns so that other connections
// are not kept waiting. A connection that is there from beginning to end is
// visited once, one that comes or goes meanwhile at most once. If the loop
// stops meanwhile, done is called all the same. Only the loop's goroutine may
// call it.
func (l *Loop) Sweep(visit func(*Conn), done func()) {
	l.sweep(0, visit, done)
}

func (l *Loop) sweep(from int, visit func(*Conn), done func()) {
	for from < l.conns.size() {
		end := min(from+sweepPerTurn, l.conns.size())
		for i := from; i < end; i++ {
			if c := l.conns.at(uint32(i)); c.flags&(used|closed) == used {
				visit(c)
			}
		}
		from = end
		if from < l.conns.size() && l.Post(func() { l.sweep(end, visit, done) }) {
			return
		}
	}
	done()
}

// SweepFrom calls visit for the connections on the loop, starting at a place of
// the table, until visit returns false. It returns the place to continue from,
// 0 when all have been visited. It handles no other events meanwhile. Only the
// loop's goroutine may call it.
func (l *Loop) SweepFrom(place int, visit func(*Conn) bool) (next int) {
	for i := place; i < l.conns.size(); i++ {
		c := l.conns.at(uint32(i))
		if c.flags&(used|closed) == used && !visit(c) {
			return i + 1
		}
	}
	return 0
}
