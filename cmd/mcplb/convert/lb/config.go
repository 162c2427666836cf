package lb

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Config is an lb.toml that is being written, and the account of the directives that
// it comes from. It is not safe for concurrent use.
type Config struct {
	Language   string // of the original, for comments: "HAProxy" or "nginx"
	Directives []*Directive

	Global, Admin, Resolver, RateLimit Table
	Frontends                          []*Frontend
	Backends                           []*Backend
	Remarks                            []string // what differs whatever the directives say, for the head of the file
}

// Frontend is a section [frontend.NAME].
type Frontend struct {
	Name string
	Table
	Sticky Table
	TLS    *Table // nil = no TLS
	Routes []*Table
}

// Backend is a section [backend.NAME].
type Backend struct {
	Name string
	Table
	TLS      *Table // nil = no TLS
	Check    Table
	Discover *Table // nil = the servers below are all
	Servers  []*Table
}

// NewConfig returns a configuration of nothing, without limits: where the original
// has no limit, the defaults of mcplb would be one.
func NewConfig(language string) *Config {
	c := &Config{Language: language}
	c.RateLimit.Set("connection_rate", 0)
	c.RateLimit.Set("message_rate", 0)
	c.RateLimit.Set("ban_after", 0)
	return c
}

// Read notes a directive of the original.
func (c *Config) Read(at Place, section, text string) *Directive {
	d := &Directive{Place: at, Section: Plain(section), Text: Plain(strings.Join(strings.Fields(text), " "))}
	c.Directives = append(c.Directives, d)
	return d
}

// Worst returns the outcome of the directive that fared worst.
func (c *Config) Worst() Outcome {
	worst := Unneeded
	for _, d := range c.Directives {
		worst = max(worst, d.Outcome())
	}
	return worst
}

// Opened returns the directives whose refusals are lost: what they keep out reaches servers.
func (c *Config) Opened() (all []*Directive) {
	for _, d := range c.Directives {
		if d.Opens() {
			all = append(all, d)
		}
	}
	return all
}

// AddFrontend adds a section for listeners. Its name is name, or like it.
func (c *Config) AddFrontend(name string) *Frontend {
	f := &Frontend{Name: unique(name, func(n string) bool {
		return slices.ContainsFunc(c.Frontends, func(f *Frontend) bool { return f.Name == n })
	})}
	c.Frontends = append(c.Frontends, f)
	return f
}

// AddBackend adds a section for servers. Its name is name, or like it.
func (c *Config) AddBackend(name string) *Backend {
	b := &Backend{Name: unique(name, func(n string) bool { return c.Backend(n) != nil })}
	c.Backends = append(c.Backends, b)
	return b
}

// Backend returns the section of that name, or nil.
func (c *Config) Backend(name string) *Backend {
	for _, b := range c.Backends {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// Nowhere returns the name of a backend whose only server takes no clients, for
// frontends that send nobody to a server: mcplb wants a backend for each. endpoint is
// tcp or http.
func (c *Config) Nowhere(endpoint string) string {
	b := c.Backend("nowhere")
	if b == nil {
		b = c.AddBackend("nowhere")
		b.Comment("", "for what goes to no server: clients get 503, or are closed")
		server := &Table{}
		server.Set("name", "none")
		server.Set("disabled", true)
		b.Servers = append(b.Servers, server)
		b.Check.Set("interval", "1h")
	}
	b.Servers[0].Set(endpoint, "127.0.0.1:9")
	return b.Name
}

// AddServer adds a server. Its name is name, or like it.
func (b *Backend) AddServer(name string) *Table {
	s := &Table{}
	s.Set("name", unique(name, func(n string) bool {
		return slices.ContainsFunc(b.Servers, func(s *Table) bool { return s.Get("name") == n })
	}))
	b.Servers = append(b.Servers, s)
	return s
}

// longestName is what mcplb allows for names, without room for a number behind it.
const longestName = 60

// Name returns a name that mcplb allows for a section or a server: like s.
func Name(s string) string {
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' || r == '.') {
			return r
		}
		return '_'
	}, s), "_")
	name = name[:min(len(name), longestName)]
	switch {
	case strings.Trim(name, "._-") == "":
		return "unnamed"
	case name == "FRONTEND" || name == "BACKEND":
		return strings.ToLower(name)
	}
	return name
}

// unique returns a name like this one that is not taken.
func unique(name string, taken func(string) bool) string {
	name = Name(name)
	free := name
	for i := 2; taken(free); i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	return free
}
