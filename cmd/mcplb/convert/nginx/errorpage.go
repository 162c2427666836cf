package nginx

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// errorPages translates the error_page directives of the frontend's default server: files
// become error_pages. Those of other servers of the address have to be the same.
func (g *group) errorPages() {
	var pages lb.Inline
	for i, s := range g.servers {
		var own lb.Inline
		for _, n := range s.all("error_page") {
			own = append(own, g.errorPage(s, n)...)
		}
		if i == 0 {
			pages = own
		} else if fmt.Sprint(own) != fmt.Sprint(pages) {
			for _, n := range s.own["error_page"] {
				n.Impossible("error_pages are of an address: those of its default server count")
			}
		}
	}
	if len(pages) == 0 {
		return
	}
	f, listed := g.frontend, g.servers[0].all("error_page")
	f.Set("error_pages", pages)
	for _, n := range listed {
		if n.Outcome() == lb.Translated {
			f.Set("error_pages", pages, n.Directive)
			f.Differ(n.Directive, "error_pages", "for responses of mcplb; those of a route's respond, and JSON-RPC, stay what they are")
		}
	}
}

// errorPage reads one error_page: the statuses and the file of each.
func (g *group) errorPage(s *scope, n *node) (pages lb.Inline) {
	if len(n.args) < 2 {
		n.Impossible("it names no status or no page")
		return nil
	}
	uri, statuses := n.args[len(n.args)-1], n.args[:len(n.args)-1]
	if !isPath(uri) {
		n.Impossible("mcplb's pages are files: error_pages of the frontend, not %s", uri)
		return nil
	}
	if strings.HasPrefix(statuses[len(statuses)-1], "=") {
		n.Impossible("the page does not change the status")
		return nil
	}
	file, ok := g.pageFile(s, uri)
	if !ok {
		n.Impossible("%s is no file, or a location passes it on; the pages of mcplb are files: error_pages of the frontend", uri)
		return nil
	}
	for _, status := range statuses {
		if code, err := strconv.Atoi(status); err != nil || code < 400 || code > 599 {
			n.Impossible("mcplb has no page of status %s", status)
			continue
		}
		pages = append(pages, lb.Pair{Key: status, Value: file})
	}
	n.Translated()
	return pages
}

// passesOn reports whether the location of a server that takes a path passes it on.
func passesOn(s *scope, uri string) bool {
	longest, passes := "", false
	for _, kid := range s.kids {
		n := kid.node
		path := n.arg(len(n.args) - 1)
		if (len(n.args) == 1 || n.arg(0) == "^~") && strings.HasPrefix(uri, path) && len(path) > len(longest) {
			longest, passes = path, len(kid.own["proxy_pass"]) > 0
		}
	}
	return passes
}

// pageFile returns the file of a page, by the location that serves it or the server, and
// accounts for the location.
func (g *group) pageFile(s *scope, uri string) (file string, ok bool) {
	at := s
	for _, kid := range s.kids {
		if kid.node.arg(len(kid.node.args)-1) == uri && (len(kid.node.args) == 1 || kid.node.arg(0) == "=") {
			at = kid
		}
	}
	if strings.HasSuffix(uri, "/") || at == s && passesOn(s, uri) {
		return "", false
	}
	if at != s {
		for _, n := range at.node.inner {
			switch n.name {
			case "root", "alias":
			case "internal", "access_log", "log_not_found", "allow", "default_type", "charset":
				n.Unneeded("the page is read with the configuration")
			default:
				return "", false
			}
		}
		if alias := at.own["alias"]; len(alias) == 1 {
			alias[0].Translated()
			g.pages = append(g.pages, at)
			return g.c.path(alias[0].arg(0)), true
		}
		g.pages = append(g.pages, at)
	}
	root := "/usr/share/nginx/html"
	if n := at.last("root"); n != nil {
		root = g.c.path(n.arg(0))
		n.Translated()
	}
	return filepath.Join(root, uri), !strings.Contains(root, "$")
}
