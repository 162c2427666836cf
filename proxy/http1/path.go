package http1

import "bytes"

// AppendCanonicalPath appends the canonical reading of a path, without a query:
// escapes of unreserved characters decoded (RFC 3986 section 2.3), all other
// escapes in upper case, empty segments and "." left out, each ".." taken off
// together with the segment before it, and no slash at the end. "/" is all that
// is left of the root. Each escape is decoded once, and "%2F" is no slash.
//
// A "%" that begins no escape reads as the character itself, "%25". A path that
// does not begin with a slash, such as "*", is appended as it is.
//
// The result has as many bytes as path at the most, or three times as many where
// a "%" begins no escape. Two paths with the same result may name the same thing
// to a server; it depends on the server whether they do.
func AppendCanonicalPath(dst, path []byte) []byte {
	if len(path) == 0 || path[0] != '/' {
		return append(dst, path...)
	}
	start := len(dst)
	for len(path) > 0 {
		end := indexOr(path[1:], '/') + 1
		segment := len(dst) // where its slash is
		dst = appendUnescaped(append(dst, '/'), path[1:end])
		path = path[end:]
		switch string(dst[segment:]) {
		case "/", "/.":
			dst = dst[:segment]
		case "/..":
			dst = dst[:start+max(bytes.LastIndexByte(dst[start:segment], '/'), 0)]
		}
	}
	if len(dst) == start {
		dst = append(dst, '/')
	}
	return dst
}

// IsCanonicalPath reports whether AppendCanonicalPath would surely append nothing
// but path. It is quick, and true for ordinary paths.
func IsCanonicalPath(path []byte) bool {
	if len(path) > 1 && path[len(path)-1] == '/' && path[0] == '/' {
		return false
	}
	before := byte(0)
	for _, c := range path {
		if c == '%' || before == '/' && (c == '/' || c == '.') {
			return false
		}
		before = c
	}
	return true
}

// HasPathPrefix reports whether a canonical path is that of prefix, which is
// canonical, too, or below it. It compares whole segments, and their case: "/a" is
// a prefix of "/a" and "/a/b", not of "/ab" or "/A".
func HasPathPrefix(path, prefix []byte) bool {
	if len(prefix) == 1 { // the root
		return len(path) > 0 && path[0] == '/'
	}
	return bytes.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// appendUnescaped appends a segment in its canonical form.
func appendUnescaped(dst, segment []byte) []byte {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c != '%' {
			dst = append(dst, c)
			continue
		}
		if i+2 < len(segment) && is(segment[i+1], isHex) && is(segment[i+2], isHex) {
			c = hexValue(segment[i+1])<<4 | hexValue(segment[i+2])
			i += 2
		}
		if is(c, isHost) { // the unreserved characters
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
