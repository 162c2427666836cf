package rules

import (
	"bytes"
	"strings"
)

// index finds the routes that may match a request by its host and its path: a look
// into a few maps, however many routes there are.
type index struct {
	exact map[string]*bucket // by host
	wild  map[string]*bucket // by the domain behind "*."
	any   *bucket            // for every host
	used  bool               // there is a route
	dots  int                // the most in a domain of wild
}

// bucket is the routes of one host, by their paths. Each list is in order.
type bucket struct {
	all      []*entry            // without a path
	prefixes map[string][]*entry // by path
	paths    map[string][]*entry // by path_exact
	depth    int                 // the most segments of a prefix
}

// query is a request for an index, whose keys its host and path are compared with.
type query struct {
	*Request
	host  []byte // see appendHost
	path  []byte // in the form of the index's keys
	plain []byte // as the paths of not_path are compared with it
	uri   []byte // the message's name: see messageHolds
}

// found is what an index finds: the first entry that matches, and the first before
// that of which it cannot be said without the message.
type found struct {
	best, maybe *entry
}

// first is the one that goes first of both.
func (f *found) first() *entry {
	if f.maybe.before(f.best) {
		return f.maybe
	}
	return f.best
}

// add adds an entry under the path of its route, behind those that are there. An
// empty path of the route is any path.
func (x *index) add(e *entry, path string, exact bool) {
	x.used = true
	b := x.bucket(e.host)
	switch r := e.rule.route; {
	case exact:
		b.paths[path] = append(b.paths[path], e)
	case r.Path == "":
		b.all = append(b.all, e)
	default:
		b.prefixes[path] = append(b.prefixes[path], e)
		if path != "/" {
			b.depth = max(b.depth, strings.Count(path, "/"))
		}
	}
}

// bucket is the bucket of a host, a wildcard or, if it is empty, of every host.
func (x *index) bucket(host string) *bucket {
	domain, wild := strings.CutPrefix(host, "*.")
	at := &x.any
	if host != "" {
		hosts := &x.exact
		if wild {
			hosts = &x.wild
			x.dots = max(x.dots, strings.Count(domain, "."))
		}
		if *hosts == nil {
			*hosts = map[string]*bucket{}
		}
		b := (*hosts)[domain]
		at = &b
		defer func() { (*hosts)[domain] = *at }()
	}
	if *at == nil {
		*at = &bucket{prefixes: map[string][]*entry{}, paths: map[string][]*entry{}}
	}
	return *at
}

// find finds the first entries that match.
func (x *index) find(q *query) (f found) {
	if !x.used {
		return f
	}
	f.in(x.any, q)
	if len(q.host) == 0 {
		return f
	}
	f.in(x.exact[string(q.host)], q)
	if x.wild == nil {
		return f
	}
	end := len(q.host)
	for range x.dots + 1 {
		if end = bytes.LastIndexByte(q.host[:end], '.'); end < 0 {
			break
		}
		f.in(x.wild[string(q.host[end+1:])], q)
	}
	return f
}

// in looks for better entries in a bucket, which may be nil.
func (f *found) in(b *bucket, q *query) {
	if b == nil {
		return
	}
	f.among(b.all, q)
	if len(b.paths) > 0 {
		f.among(b.paths[string(q.path)], q)
	}
	if len(b.prefixes) == 0 || len(q.path) == 0 || q.path[0] != '/' {
		return
	}
	f.among(b.prefixes["/"], q)
	end := 0
	for range b.depth {
		if end == len(q.path) || len(q.path) == 1 {
			return
		}
		if slash := bytes.IndexByte(q.path[end+1:], '/'); slash >= 0 {
			end += 1 + slash
		} else {
			end = len(q.path)
		}
		f.among(b.prefixes[string(q.path[:end])], q)
	}
}

// among looks for better entries in a list, which is in order.
func (f *found) among(list []*entry, q *query) {
	for _, e := range list {
		if !e.before(f.best) {
			return
		}
		switch e.rule.holds(q) {
		case yes:
			f.best = e
			return
		case maybe:
			if e.before(f.maybe) {
				f.maybe = e
			}
		}
	}
}
