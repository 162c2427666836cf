package rules

import (
	"bytes"
	"slices"
	"strings"
)

// Servers take the URI of a resource apart before they look it up: "FILE:/x/..\etc" is
// "file:///etc" to those that parse it as browsers do (WHATWG URL), and to those that
// make a path of it. So a denial by mcp_name holds for a URI in its own spelling and as
// appendURI reads it, and what lifts one must hold for both.

// specialSchemes are those whose URIs always have an authority, and in which a backslash
// is a slash.
var specialSchemes = []string{"file", "http", "https", "ftp", "ws", "wss"}

// appendURI appends a name as the readers of a URI have it: scheme and host in lower case,
// "file:/x" and "file://localhost/x" as "file:///x", without white space around and tabs and
// line ends within, escapes decoded and dot segments resolved, a file's without its query.
// ok is false for what is no URI. beginning says that it is only the beginning of one.
func (s *Scratch) appendURI(dst, name []byte, beginning bool) (uri []byte, ok bool) {
	name = bytes.TrimFunc(name, func(r rune) bool { return r <= ' ' })
	if bytes.ContainsAny(name, "\t\r\n") {
		name = slices.DeleteFunc(bytes.Clone(name), func(c byte) bool { return c == '\t' || c == '\r' || c == '\n' })
	}
	scheme, rest, found := bytes.Cut(name, []byte{':'})
	if !isScheme(scheme) || !found && !beginning {
		return dst, false
	}
	start := len(dst)
	dst = appendLower(dst, scheme)
	if !found {
		return dst, true
	}
	special := slices.Contains(specialSchemes, string(dst[start:]))
	file := string(dst[start:]) == "file"
	dst = append(dst, ':')
	if special && bytes.IndexByte(rest, '\\') >= 0 {
		rest = bytes.ReplaceAll(rest, []byte{'\\'}, []byte{'/'})
	}
	if end := bytes.IndexAny(rest, "?#"); file && end >= 0 {
		rest = rest[:end]
	}
	if len(rest) == 0 && beginning {
		return dst, true
	}
	host, path := authority(rest, special, file)
	if special || bytes.HasPrefix(rest, []byte("//")) {
		dst = appendLower(append(dst, "//"...), host)
	}
	return s.appendURIPath(dst, path, special, beginning), true
}

// authority splits what stands behind a scheme into the host, with what belongs to it, and
// the path.
func authority(rest []byte, special, file bool) (host, path []byte) {
	after := bytes.TrimLeft(rest, "/")
	slashes := len(rest) - len(after)
	switch {
	case file && slashes != 2, !special && slashes < 2:
		if file {
			rest = rest[max(slashes-1, 0):]
		}
		return nil, rest
	case !special:
		after = rest[2:]
	}
	end := bytes.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	host, path = after[:end], after[end:]
	if file && bytes.EqualFold(host, []byte("localhost")) {
		host = nil
	}
	return host, path
}

// appendURIPath appends the path of a URI, with its query.
func (s *Scratch) appendURIPath(dst, path []byte, special, beginning bool) []byte {
	if special && (len(path) == 0 && !beginning || len(path) > 0 && path[0] != '/' && path[0] != '?' && path[0] != '#') {
		path = append([]byte{'/'}, path...)
	}
	end := bytes.IndexAny(path, "?#")
	if end < 0 {
		end = len(path)
	}
	path, query := path[:end], path[end:]
	if len(path) == 0 || path[0] != '/' {
		return append(append(dst, reading{slash: true}.decode(nil, path)...), query...)
	}
	read := reading{slash: true, backslash: true}.read(s, path)
	dst = append(dst, read...)
	if path[len(path)-1] == '/' && len(read) > 1 {
		dst = append(dst, '/')
	}
	return append(dst, query...)
}

func isScheme(p []byte) bool {
	for i, c := range p {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return len(p) > 0
}

// uriPatterns are the patterns of names in the form of appendURI, but for those that are
// none.
func uriPatterns(names []pattern) (found []pattern) {
	for _, p := range names {
		if uri, ok := new(Scratch).appendURI(nil, []byte(p.text), p.prefix); ok && !(p.prefix && endsInDots(p.text)) {
			found = append(found, pattern{string(uri), p.prefix})
		}
	}
	return found
}

// endsInDots reports whether the last segment of a beginning could be a dot segment, or the
// beginning of a name: "/data/.*" is for hidden files.
func endsInDots(text string) bool {
	last := text[strings.LastIndexByte(text, '/')+1:]
	return last == "." || last == ".."
}
