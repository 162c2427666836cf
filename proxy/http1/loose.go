package http1

import "bytes"

// LooseField returns the value of the only line of a head, up to the first empty
// one, that begins with name and a colon, whatever is wrong with the head, and
// however much of it is there; nil if there is none, or more than one. It is for the response that refuses the
// head, which its sender must be able to read. Nothing else may depend on it: two
// readers of such a head need not agree on what it says.
func LooseField(p []byte, name string) (value []byte) {
	for first := true; ; first = false {
		n := bytes.IndexByte(p, '\n')
		if n < 0 {
			return value
		}
		line := bytes.TrimSuffix(p[:n], []byte("\r"))
		p = p[n+1:]
		if len(line) == 0 && !first {
			return value
		}
		if len(line) <= len(name) || line[len(name)] != ':' || !EqualFold(line[:len(name)], name) {
			continue
		}
		if value != nil {
			return nil
		}
		value = trim(line[len(name)+1:])
	}
}
