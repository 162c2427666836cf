package conf

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Plan is the changes from one Config to another. Frontends, backends and the
// servers of a backend are the same if their names are. Their order in the file
// does not matter. The zero value changes nothing.
//
// A Plan compares the files, and the certificates and authorities that they name.
type Plan struct {
	Global    []KeyChange // of [global], including those that Fixed returns
	Admin     []KeyChange // of [admin]
	Resolver  []KeyChange // of [resolver]
	Fleet     []KeyChange // of [fleet]; passwords are not shown
	RateLimit []KeyChange // of [ratelimit]
	Frontends []FrontendChange
	Backends  []BackendChange

	// Listeners are the changes to frontends' listening sockets: first those to
	// open, the only step that can fail, then those to hand over to another
	// frontend, then those to close.
	Listeners []ListenerChange
}

// KeyChange is one key with another value.
type KeyChange struct {
	Key      string // the full path, see Errors
	Old, New string // in the syntax of the file
}

// Action is what happens to a frontend, a backend or a server.
type Action string

// The actions.
const (
	Added   Action = "+"
	Removed Action = "-"
	Changed Action = "~"
)

// FrontendChange is one frontend that is added, removed or changed.
type FrontendChange struct {
	Action Action
	Name   string
	Old    *Frontend   // in the old Config; nil when added
	New    *Frontend   // in the new Config; nil when removed
	Keys   []KeyChange // when changed
}

// BackendChange is one backend that is added, removed or changed. One that is
// added or removed does not list its servers.
type BackendChange struct {
	Action       Action
	Name         string
	Old          *Backend    // in the old Config; nil when added
	New          *Backend    // in the new Config; nil when removed
	Keys         []KeyChange // when changed: of the backend and its check, without servers
	CheckChanged bool        // whether Keys has any of the check
	Servers      []ServerChange
}

// ServerChange is one server that is added, removed or changed.
type ServerChange struct {
	Action Action
	Name   string
	Old    *Server     // in the old Config; nil when added
	New    *Server     // in the new Config; nil when removed
	Keys   []KeyChange // when changed, without a path
}

// ListenerChange is one listening socket of a frontend. It is to be opened if From
// is "", closed if To is "", and otherwise handed over with its queue of clients.
// An address to open may overlap one to close: it may be equal but for IPv6Only, or
// include the other (:80 and 127.0.0.1:80). The kernel refuses it while the other is
// open.
type ListenerChange struct {
	Address  string
	From, To string // names of frontends
	IPv6Only bool   // the address is bound for IPv6 alone: see Config.IPv6Only
}

// Diff returns the changes from before to after. Neither may be nil. The plan
// refers to both.
func Diff(before, after *Config) Plan {
	return Plan{
		Global:    globalSection.compare("global", &before.Global, &after.Global),
		Admin:     adminSection.compare("admin", &before.Admin, &after.Admin),
		Resolver:  resolverSection.compare("resolver", &before.Resolver, &after.Resolver),
		Fleet:     fleetSection.compare("fleet", &before.Fleet, &after.Fleet),
		RateLimit: rateLimitSection.compare("ratelimit", &before.RateLimit, &after.RateLimit),
		Frontends: diffFrontends(before, after),
		Backends:  diffBackends(before, after),
		Listeners: diffListeners(before, after),
	}
}

// Fixed returns the full paths of the keys in which after differs from started,
// the settings that a process was started with, and which a running process
// cannot change: a new process is needed.
func Fixed(started, after *Global) []string {
	return globalSection.fixed("global", globalSection.compare("global", started, after))
}

// Empty reports whether the plan changes nothing.
func (p Plan) Empty() bool {
	return len(p.Global)+len(p.Admin)+len(p.Resolver)+len(p.Fleet)+len(p.RateLimit)+len(p.Frontends)+len(p.Backends) == 0
}

// String returns the plan as one line for the log, or "nothing changed".
func (p Plan) String() string {
	var parts []string
	for _, keys := range [][]KeyChange{p.Global, p.Admin, p.Resolver, p.Fleet, p.RateLimit} {
		parts = appendKeys(parts, keys)
	}
	for _, f := range p.Frontends {
		if f.Action != Changed {
			parts = append(parts, fmt.Sprintf("%sfrontend %s", f.Action, f.Name))
		}
		parts = appendKeys(parts, f.Keys)
	}
	for _, b := range p.Backends {
		if b.Action != Changed {
			parts = append(parts, fmt.Sprintf("%sbackend %s", b.Action, b.Name))
		}
		parts = appendKeys(parts, b.Keys)
		for _, s := range b.Servers {
			parts = append(parts, s.text(b.Name))
		}
	}
	if len(parts) == 0 {
		return "nothing changed"
	}
	return strings.Join(parts, ", ")
}

// text returns the change as a part of Plan.String.
func (s ServerChange) text(backend string) string {
	text := fmt.Sprintf("%sserver %s/%s", s.Action, backend, s.Name)
	for _, k := range s.Keys {
		text += fmt.Sprintf(" %s %s -> %s", k.Key, k.Old, k.New)
	}
	return text
}

func appendKeys(parts []string, keys []KeyChange) []string {
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("~%s %s -> %s", k.Key, k.Old, k.New))
	}
	return parts
}

// change returns the change of the key at path, unless both values are shown
// alike.
func change(path, before, after string) []KeyChange {
	if before == after {
		return nil
	}
	return []KeyChange{{path, before, after}}
}

// fixed returns the paths of the changes, all in the section at path, that a
// running process cannot apply.
func (s *section[S]) fixed(path string, changes []KeyChange) []string {
	var paths []string
	for _, c := range changes {
		for _, f := range s.fields {
			if f.fixed && c.Key == join(path, f.name) {
				paths = append(paths, c.Key)
			}
		}
	}
	return paths
}

// pairs calls visit with each element of before and the element of after with the
// same identity, or nil if there is none. Then it calls visit with nil and each
// element that only after has.
func pairs[T any, K comparable](before, after []T, identity func(*T) K, visit func(before, after *T)) {
	index := make(map[K]*T, len(after))
	for i := range after {
		index[identity(&after[i])] = &after[i]
	}
	for i := range before {
		id := identity(&before[i])
		visit(&before[i], index[id])
		delete(index, id)
	}
	for i := range after {
		if index[identity(&after[i])] != nil {
			visit(nil, &after[i])
		}
	}
}

func diffFrontends(before, after *Config) []FrontendChange {
	var changes []FrontendChange
	name := func(f *Frontend) string { return f.Name }
	pairs(before.Frontends, after.Frontends, name, func(before, after *Frontend) {
		switch {
		case after == nil:
			changes = append(changes, FrontendChange{Action: Removed, Name: before.Name, Old: before})
		case before == nil:
			changes = append(changes, FrontendChange{Action: Added, Name: after.Name, New: after})
		default:
			path := join("frontend", after.Name)
			keys := frontendSection.compare(path, before, after)
			keys = append(keys, diffCertificates(path+".tls.certificates", before.TLS, after.TLS)...)
			keys = append(keys, diffClientFiles(path+".tls", before.TLS, after.TLS)...)
			keys = append(keys, diffPages(path+".error_pages", before.ErrorPages, after.ErrorPages)...)
			if len(keys) > 0 {
				changes = append(changes, FrontendChange{Changed, after.Name, before, after, keys})
			}
		}
	})
	return changes
}

// diffCertificates returns the certificates whose files have the same names but
// other contents.
func diffCertificates(path string, before, after *TLS) []KeyChange {
	if before == nil || after == nil || len(before.Certificates) != len(after.Certificates) {
		return nil
	}
	var changes []KeyChange
	for i := range after.Certificates {
		old, now := &before.Certificates[i], &after.Certificates[i]
		if old.Cert == now.Cert && old.Key == now.Key {
			changes = append(changes, change(element(path, i), old.summary(), now.summary())...)
		}
	}
	return changes
}

// summary identifies a certificate in a log line: until when it is valid, and part
// of the SHA-256 fingerprint of its chain.
func (c *Certificate) summary() string {
	if c.Pair == nil {
		return "nothing"
	}
	hash := sha256.New()
	for _, der := range c.Pair.Certificate {
		hash.Write(der) // never fails
	}
	return fmt.Sprintf("(valid until %s, %.4x)", c.Pair.Leaf.NotAfter.UTC().Format(time.DateOnly), hash.Sum(nil))
}

func diffBackends(before, after *Config) []BackendChange {
	var changes []BackendChange
	name := func(b *Backend) string { return b.Name }
	pairs(before.Backends, after.Backends, name, func(before, after *Backend) {
		switch {
		case after == nil:
			changes = append(changes, BackendChange{Action: Removed, Name: before.Name, Old: before})
		case before == nil:
			changes = append(changes, BackendChange{Action: Added, Name: after.Name, New: after})
		default:
			if c := diffBackend(before, after); len(c.Keys)+len(c.Servers) > 0 {
				changes = append(changes, c)
			}
		}
	})
	return changes
}

func diffBackend(before, after *Backend) BackendChange {
	path := join("backend", after.Name)
	keys := backendSection.compare(path, before, after)
	keys = append(keys, diffServerTLS(path+".tls", before.TLS, after.TLS)...)
	return BackendChange{
		Action: Changed, Name: after.Name, Old: before, New: after,
		Keys:         keys,
		CheckChanged: slices.ContainsFunc(keys, func(k KeyChange) bool { return strings.HasPrefix(k.Key, path+".check.") }),
		Servers:      diffServers(before.Servers, after.Servers),
	}
}

func diffServers(before, after []Server) []ServerChange {
	var changes []ServerChange
	name := func(s *Server) string { return s.Name }
	pairs(before, after, name, func(before, after *Server) {
		switch {
		case after == nil:
			changes = append(changes, ServerChange{Action: Removed, Name: before.Name, Old: before})
		case before == nil:
			changes = append(changes, ServerChange{Action: Added, Name: after.Name, New: after})
		default:
			if keys := serverSection.compare("", before, after); len(keys) > 0 {
				changes = append(changes, ServerChange{Changed, after.Name, before, after, keys})
			}
		}
	})
	return changes
}

// diffListeners matches sockets first with their own frontend, then with any other
// that has the same address.
func diffListeners(before, after *Config) []ListenerChange {
	open := bound(after)
	var closed, handed []ListenerChange
	remove := func(b binding) bool {
		i := slices.Index(open, b)
		if i >= 0 {
			open = slices.Delete(open, i, i+1)
		}
		return i >= 0
	}
	var left []binding
	for _, b := range bound(before) {
		if !remove(b) {
			left = append(left, b)
		}
	}
	for _, b := range left {
		i := slices.IndexFunc(open, func(o binding) bool { return o.address == b.address && o.ipv6Only == b.ipv6Only })
		if i < 0 {
			closed = append(closed, ListenerChange{Address: b.address, From: b.frontend, IPv6Only: b.ipv6Only})
			continue
		}
		handed = append(handed, ListenerChange{b.address, b.frontend, open[i].frontend, b.ipv6Only})
		remove(open[i])
	}
	var changes []ListenerChange
	for _, b := range open {
		changes = append(changes, ListenerChange{Address: b.address, To: b.frontend, IPv6Only: b.ipv6Only})
	}
	return slices.Concat(changes, handed, closed)
}

// binding is one address that a frontend listens on. A socket that is bound for IPv6
// alone cannot become one for both families: it is another binding.
type binding struct {
	address, frontend string
	ipv6Only          bool
}

// bound returns all addresses that c's frontends listen on.
func bound(c *Config) []binding {
	var all []binding
	for _, f := range c.Frontends {
		for _, address := range f.Listen {
			all = append(all, binding{address, f.Name, c.IPv6Only(address)})
		}
	}
	return all
}
