package haproxy

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// Error pages: HAProxy has those of sections, of which a backend's go first, mcplb those of a
// frontend.

// page is the file of an error page, and its line.
type page struct {
	status, file string
	l            *line
}

// errorPage notes a page. A later one of the same status replaces it.
func (p *proxy) errorPage(l *line, status, file string) {
	switch n, err := strconv.Atoi(status); {
	case err != nil || n < 400 || n > 599:
		l.Impossible("mcplb has no page of status %s", status)
	case file == "/dev/null":
		l.Impossible("mcplb always answers, rather than close without a word")
	case p.mode != "http":
		l.Unneeded("it means nothing in mode tcp")
	default:
		p.pages = slices.DeleteFunc(p.pages, func(other page) bool { return other.status == status })
		p.pages = append(p.pages, page{status, file, l})
	}
}

// pageOf returns the page of a status.
func (p *proxy) pageOf(status string) (found page, ok bool) {
	i := slices.IndexFunc(p.pages, func(other page) bool { return other.status == status })
	if i < 0 {
		return page{}, false
	}
	return p.pages[i], true
}

// addPages writes the pages of a section into those of the group's frontend. note says what
// differs.
func (g *group) addPages(b *proxy, note string) {
	for _, found := range b.pages {
		pages, _ := g.front.Get("error_pages").(lb.Inline)
		i := slices.IndexFunc(pages, func(pair lb.Pair) bool { return pair.Key == found.status })
		if i >= 0 && pages[i].Value != found.file {
			found.l.Impossible("error_pages are of a frontend, and %s has another one of status %s: %s", g.frontend.Name, found.status, pages[i].Value)
			continue
		}
		if i >= 0 {
			found.l.Translated()
			continue
		}
		g.front.Set("error_pages", append(slices.Clone(pages), lb.Pair{Key: found.status, Value: found.file}), found.l.Directive)
		g.front.Differ(found.l.Directive, "error_pages", "%s", note)
	}
}

// unusedPages accounts for pages of a backend that no frontend has taken.
func (p *proxy) unusedPages() {
	for _, found := range p.pages {
		switch {
		case !found.l.Unsaid():
		case p.c.missed(p):
			found.l.Impossible("the rule that leads to this backend is not translated: write its page into error_pages of the frontend")
		default:
			found.l.Unneeded("no rule leads to this backend")
		}
	}
}

// respondPage makes a route answer with the page that a section has for a status. ok is false if
// there is none that can be read here.
func (g *group) respondPage(t *lb.Table, owner *proxy, status string) (ok bool) {
	found, ok := owner.pageOf(status)
	if !ok {
		if found, ok = g.pageOf(status); !ok {
			return false
		}
	}
	r, err := g.readPage(found.file, status)
	if err != nil {
		found.l.Impossible("it is the answer of a route, and cannot be read here (%v): write its text as the body of respond", err)
		return false
	}
	r.write(t, found.l)
	t.Differ(found.l.Directive, "respond", "what %s has at the time of the conversion is written", found.file)
	return true
}

// response is a response that a file has.
type response struct {
	status     int
	kind, body string
	headers    lb.Inline // beside Content-Type
}

// framing are the headers of a file that are the connection's own.
var framing = []string{"Connection", "Content-Length", "Content-Type", "Keep-Alive", "Transfer-Encoding"}

// readPage reads an errorfile, which is a complete response: its status counts, whatever that
// for which it stands.
func (g *group) readPage(file, status string) (r response, err error) {
	text, err := g.env.ReadFile(file)
	if err != nil {
		return r, err
	}
	r.status, _ = strconv.Atoi(status)
	r.kind = "text/html"
	head, body, ok := strings.Cut(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n\n")
	first, fields, _ := strings.Cut(head, "\n")
	if !strings.HasPrefix(first, "HTTP/") || !ok {
		r.body = string(text)
		return r, nil
	}
	r.body = body
	if words := strings.Fields(first); len(words) > 1 {
		r.status, _ = strconv.Atoi(words[1])
	}
	if r.status < 200 || r.status > 599 {
		return r, fmt.Errorf("it has no status in its first line: %q", first)
	}
	for field := range strings.Lines(fields) {
		name, value, _ := strings.Cut(field, ":")
		switch name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value); {
		case name == "Content-Type":
			r.kind = value
		case name != "" && !slices.Contains(framing, name):
			r.headers = append(r.headers, lb.Pair{Key: name, Value: strings.ReplaceAll(value, "{", "{{")})
		}
	}
	return r, nil
}

// write makes a route answer with the response.
func (r response) write(t *lb.Table, l *line) {
	t.Set("respond", lb.Inline{{Key: "status", Value: r.status}, {Key: "body", Value: r.body}, {Key: "content_type", Value: r.kind}}, l.Directive)
	for _, h := range r.headers {
		setInline(t, "set_response_headers", h.Key, h.Value, l)
	}
}

// ownerOf returns the section in which a rule stands.
func (g *group) ownerOf(l *line) *proxy {
	for _, p := range g.c.proxies {
		if p != g.proxy && slices.Contains(p.rules, l) && !slices.Contains(g.rules, l) {
			return p
		}
	}
	return g.proxy
}
