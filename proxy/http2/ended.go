package http2

// closure says how a stream ended.
type closure uint8

const (
	closedUnknown closure = iota
	closedByEnd           // both sides had finished
	closedByPeer          // the client reset it
	closedByUs            // we did: what was under way may still come
)

// rememberedStreams is how many ended streams a connection knows.
const rememberedStreams = 8

// endedStream is a stream that has ended.
type endedStream struct {
	id  uint32
	how closure
}

// endedStreams are the last streams of a connection that ended. The zero value has none.
type endedStreams struct {
	last      [rememberedStreams]endedStream
	next      uint32
	forgotten bool // one that we have reset is no longer among them
}

// add notes how a stream ended.
func (e *endedStreams) add(id uint32, how closure) {
	place := &e.last[e.next%rememberedStreams]
	e.forgotten = e.forgotten || place.how == closedByUs
	*place = endedStream{id, how}
	e.next++
}

// how returns how a stream ended, if that is remembered.
func (e *endedStreams) how(id uint32) closure {
	for _, one := range e.last {
		if one.id == id {
			return one.how
		}
	}
	return closedUnknown
}

// state returns the streams for another process, the oldest first.
func (e *endedStreams) state() (ids []uint32, how []uint8) {
	known := min(e.next, rememberedStreams)
	for i := range known {
		one := e.last[(e.next-known+i)%rememberedStreams]
		ids, how = append(ids, one.id), append(how, uint8(one.how))
	}
	return ids, how
}
