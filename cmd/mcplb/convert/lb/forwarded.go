package lb

import (
	"regexp"
	"slices"
	"strings"
)

// NoteForwarded says of conditions on X-Forwarded-* and the like that they hold for
// trusted_proxies alone, where there are none: HAProxy and nginx believe every client.
func (c *Config) NoteForwarded() {
	for _, f := range c.Frontends {
		if len(f.Strings("trusted_proxies")) > 0 {
			continue
		}
		for _, r := range f.Routes {
			for _, key := range []string{"headers", "not_headers"} {
				r.noteForwarded(key)
			}
		}
	}
}

func (t *Table) noteForwarded(key string) {
	conditions, _ := t.Get(key).(Inline)
	for _, p := range conditions {
		if !isForwarded(p.Key) {
			continue
		}
		note := p.Key + " counts from trusted_proxies alone, and there are none: write those of the proxies before mcplb"
		t.Comment(key, note)
		for _, d := range conditional(t.sources(), p.Key) {
			d.become(Different, note)
		}
	}
}

// conditional returns the directives that have a condition: those that name the header, or
// all, where the condition has a name of its own (acl, map).
func conditional(all []*Directive, header string) (some []*Directive) {
	named := false
	for _, d := range all {
		text := strings.ToLower(strings.ReplaceAll(" "+d.Text, "_", "-"))
		at := max(strings.Index(text, " if "), strings.Index(text, " unless "))
		if at < 0 {
			continue
		}
		names := strings.Contains(text[at:], strings.ToLower(header))
		if names && !named {
			named, some = true, nil
		}
		if names || !named {
			some = append(some, d)
		}
	}
	return some
}

// isForwarded reports whether mcplb takes a header from trusted_proxies alone.
func isForwarded(header string) bool {
	name := strings.ToLower(header)
	return strings.HasPrefix(name, "x-forwarded-") || name == "forwarded" || name == "x-real-ip"
}

// Removable reports whether a route can keep a header of clients from servers: none that frames a
// request, and none of MCP's own.
func Removable(name string) bool {
	lower := strings.ToLower(name)
	kept := []string{"host", "connection", "upgrade", "content-length", "transfer-encoding", "te", "trailer", "keep-alive", "proxy-connection", "expect", "content-encoding", "content-type"}
	return !slices.Contains(kept, lower) && !strings.HasPrefix(lower, "mcp-") && !strings.HasPrefix(lower, "sec-websocket-") && headerWord.MatchString(name)
}

var headerWord = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
