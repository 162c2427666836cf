package haproxy

import (
	"bytes"
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
	body, contentType, err := g.readPage(found.file)
	if err != nil {
		t.Differ(found.l.Directive, "", "%s cannot be read here: write its text as the body of respond", found.file)
		return false
	}
	n, _ := strconv.Atoi(status)
	t.Set("respond", lb.Inline{{Key: "status", Value: n}, {Key: "body", Value: body}, {Key: "content_type", Value: contentType}}, found.l.Directive)
	t.Differ(found.l.Directive, "respond", "the body of %s at the time of the conversion is written", found.file)
	return true
}

// readPage returns the body of an errorfile, which is a complete response, and its type.
func (g *group) readPage(file string) (body, contentType string, err error) {
	text, err := g.env.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	contentType = "text/html"
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	head, rest, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok || !bytes.HasPrefix(head, []byte("HTTP/")) {
		return string(text), contentType, nil
	}
	for field := range strings.Lines(string(head)) {
		if name, value, ok := strings.Cut(field, ":"); ok && http.CanonicalHeaderKey(name) == "Content-Type" {
			contentType = strings.TrimSpace(value)
		}
	}
	return string(rest), contentType, nil
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
