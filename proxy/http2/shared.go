package http2

// Shared is what all connections of an event loop use, one after the other: scratch
// space, and streams that are free. The zero value is ready.
type Shared struct {
	name, value []byte // where strings are decoded
	head        headReader
	out         headWriter
	free        []*Stream
}

// mostFree is how many free streams are kept.
const mostFree = 1024

// newStream returns a stream that is as new.
func (s *Shared) newStream() *Stream {
	n := len(s.free)
	if n == 0 {
		return &Stream{}
	}
	stream := s.free[n-1]
	s.free = s.free[:n-1]
	*stream = Stream{}
	return stream
}

// putStream takes back a stream.
func (s *Shared) putStream(stream *Stream) {
	stream.User = nil
	if len(s.free) < mostFree {
		s.free = append(s.free, stream)
	}
}
