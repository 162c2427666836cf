package rules

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"mcplb/conf"
)

// server is how a kind of server reads a path; ok is false if it refuses it.
type server struct {
	name string
	read func(raw string) (path string, ok bool)
}

var (
	semicolons = regexp.MustCompile(`;[^/]*`)
	slashes    = regexp.MustCompile(`/+`)
)

func unescape(raw string) (string, bool) {
	decoded, err := url.PathUnescape(raw)
	return decoded, err == nil
}

// servers read paths as programs do that people run behind a balancer.
var servers = []server{
	{"Go: decoded, then cleaned", func(raw string) (string, bool) {
		decoded, ok := unescape(raw)
		return path.Clean(decoded), ok
	}},
	{"nginx: decoded, slashes merged, dot segments resolved", func(raw string) (string, bool) {
		decoded, ok := unescape(raw)
		return path.Clean(slashes.ReplaceAllString(decoded, "/")), ok
	}},
	{"Express: segments decoded each by itself, nothing resolved, any case", func(raw string) (string, bool) {
		segments := strings.Split(strings.ToLower(raw), "/")
		for i, s := range segments {
			decoded, ok := unescape(s)
			if !ok {
				return "", false
			}
			segments[i] = strings.ReplaceAll(decoded, "/", "%2f")
		}
		return strings.Join(segments, "/"), true
	}},
	{"Starlette: decoded, not resolved", unescape},
	{"Tomcat: parameters taken off, decoded, merged, resolved", func(raw string) (string, bool) {
		decoded, ok := unescape(semicolons.ReplaceAllString(raw, ""))
		return path.Clean(slashes.ReplaceAllString(decoded, "/")), ok
	}},
	{"decoded, parameters taken off, resolved", func(raw string) (string, bool) {
		decoded, ok := unescape(raw)
		return path.Clean(semicolons.ReplaceAllString(decoded, "")), ok
	}},
	{"IIS: decoded, backslashes, resolved, any case, no dots and spaces at the end", func(raw string) (string, bool) {
		decoded, ok := unescape(raw)
		segments := strings.Split(path.Clean(strings.ReplaceAll(decoded, `\`, "/")), "/")
		for i, s := range segments {
			segments[i] = strings.TrimRight(s, ". ")
		}
		return strings.ToLower(strings.Join(segments, "/")), ok
	}},
	{"RFC 3986: dot segments resolved, empty segments kept, then merged", func(raw string) (string, bool) {
		decoded, ok := unescape(raw)
		if !strings.HasPrefix(decoded, "/") {
			return decoded, ok
		}
		return slashes.ReplaceAllString(resolve3986(decoded), "/"), ok
	}},
	{"two of them in a row: resolved, decoded again, resolved", func(raw string) (string, bool) {
		once, ok := unescape(raw)
		if !ok {
			return "", false
		}
		twice, ok := unescape(path.Clean(once))
		return path.Clean(twice), ok
	}},
}

// resolve3986 is remove_dot_segments of RFC 3986, section 5.2.4.
func resolve3986(p string) string {
	var kept []string
	for _, s := range strings.Split(p, "/")[1:] {
		switch s {
		case ".":
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		default:
			kept = append(kept, s)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// below reports whether a path is prefix or below it.
func below(p, prefix string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }

// No server finds what is denied in a path that passes.
func FuzzDenied(f *testing.F) {
	for _, a := range attacks(f) {
		if parts := strings.SplitN(a.head, " ", 3); strings.HasPrefix(parts[1], "/") {
			raw, _, _ := strings.Cut(parts[1], "?")
			f.Add(raw)
		}
	}
	m := Compile(&conf.Frontend{Routes: []conf.Route{{Path: "/admin", Deny: true}, {Path: "/admin/public", Allow: true}}})
	f.Fuzz(func(t *testing.T, raw string) {
		if !strings.HasPrefix(raw, "/") || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '?' || r == '#' }) {
			return // http1 refuses it, or takes it apart
		}
		d := m.Match(&Request{Path: []byte(raw)}, new(Scratch))
		if d.Denied || d.Refused != Readable {
			return
		}
		for _, s := range servers {
			// An empty segment leads nowhere else: where /admin/public is allowed,
			// /admin//public is.
			p, ok := s.read(raw)
			if p = slashes.ReplaceAllString(p, "/"); ok && below(p, "/admin") && !below(p, "/admin/public") {
				t.Errorf("%q passes, and is %q to %s", raw, p, s.name)
			}
		}
	})
}
