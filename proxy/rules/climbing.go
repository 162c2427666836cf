package rules

import (
	"bytes"

	"mcplb/proxy/http1"
)

// Climbs reports whether a server may read a canonical path so that it leads above its
// root: behind a prefix that is put before it, such a path leads out of the prefix. The
// readings are those that a denial holds under, so "/..%2Fx" and "/a/..;/..;/x" climb, as
// does what is too long to find out. A path without escapes and ";" costs one look at it.
func (s *Scratch) Climbs(path []byte) bool {
	if bytes.IndexByte(path, '%') < 0 && bytes.IndexByte(path, ';') < 0 && http1.IsCanonicalPath(path) {
		return false
	}
	signs, wrong := s.inspect(path, true)
	if wrong != Readable {
		return true // once its escapes are decoded twice
	}
	if signs&dots == 0 {
		return false
	}
	all := (signs &^ dots).readings() // whatever is done with empty segments, none of them takes a ".."
	if len(path)*all.count() > mostRead {
		return true
	}
	for i := range all.count() {
		if all.at(i).climbs(s, path) {
			return true
		}
	}
	return false
}

// climbs reports whether the path leads above its root in this reading.
func (r reading) climbs(s *Scratch, path []byte) bool {
	s.decoded = r.decode(s.decoded[:0], path)
	if r.twice {
		s.path = r.decode(s.path[:0], s.decoded)
		s.path, s.decoded = s.decoded, s.path
	}
	depth := 0
	for segment := range bytes.SplitSeq(s.decoded, []byte{'/'}) {
		if r.parameters > 0 {
			segment, _, _ = bytes.Cut(segment, semicolon)
		}
		switch string(segment) {
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return true
		}
	}
	return false
}
