package conf

import (
	"cmp"
	"slices"
	"strings"
)

// File is the text of one file of a configuration. Name is what mistakes call it.
type File struct {
	Name string
	Text []byte
}

// Load reads the configuration in the files and directories at paths (see ReadConfig).
// Its error is an Errors, with every
// mistake in the files, or the reason why one cannot be read.
//
// Relative paths in the files (certificates, token, log) are relative to the
// process's working directory.
func Load(paths ...string) (*Config, error) {
	files, err := ReadConfig(paths...)
	if err != nil {
		return nil, err
	}
	c, d := parse(files)
	c.Path = strings.Join(paths, " ")
	return d.result(c)
}

// Parse is Load for the text of one file; name is used as its path in Config.Path
// and in mistakes. Its error is an Errors.
func Parse(name string, text []byte) (*Config, error) {
	c, d := parse([]File{{name, text}})
	return d.result(c)
}

// ParseAdmin returns the section [admin] of a configuration for a command that has to
// find the balancer, whatever is wrong with other sections, and with keys other than listen
// and token_file. The error is an Errors.
func ParseAdmin(files []File) (*Admin, error) {
	c := &Config{}
	rootSection.fill(c)
	d := newDecoder(files)
	values := d.readDocuments(files)
	if raw, given := values["admin"]; given && len(d.mistakes) == 0 {
		if keys, isTable := d.sectionAt("admin", raw); isTable {
			adminSection.decode(d, "admin", keys, &c.Admin)
		}
	}
	mistakes := slices.DeleteFunc(d.mistakes, func(m Error) bool {
		return strings.HasPrefix(m.Key, "admin.") && m.Key != "admin.listen" && m.Key != "admin.token_file"
	})
	if len(mistakes) > 0 {
		return nil, sorted(mistakes, d.files)
	}
	return &c.Admin, nil
}

// parse decodes files, fills in defaults and validates. The Config is valid only if
// the decoder has no mistakes.
func parse(files []File) (*Config, *decoder) {
	d := newDecoder(files)
	c := &Config{Path: strings.Join(d.files, " ")}
	rootSection.fill(c)
	values := d.readDocuments(files)
	if len(d.mistakes) > 0 {
		return c, d
	}
	rootSection.decode(d, "", values, c)
	complete(c, d)
	validate(c, d)
	return c, d
}

func newDecoder(files []File) *decoder {
	d := &decoder{sections: allSections, failed: map[string]bool{}}
	for _, file := range files {
		d.files = append(d.files, file.Name)
	}
	return d
}

// complete fills in what depends on another key.
func complete(c *Config, d *decoder) {
	for _, address := range []string{c.Admin.Listen, c.Admin.HealthListen} {
		if c.IPv6Only(address) {
			c.Admin.IPv6Only = append(c.Admin.IPv6Only, address)
		}
	}
	for i := range c.Backends {
		b := &c.Backends[i]
		if path := join("backend", b.Name); !d.positions.names(path + ".check.fast_interval") {
			b.Check.FastInterval = min(b.Check.FastInterval, b.Check.Interval)
		}
		completeCheck(b, d)
		completeServers(b.Servers)
		if b.Discover != nil {
			b.Discover.Endpoints = c.endpointsOf(b)
		}
	}
}

// completeCheck fills in what a check takes from its type and from its backend.
func completeCheck(b *Backend, d *decoder) {
	if b.Check.Type == CheckMCP && !d.positions.names(join("backend", b.Name)+".check.path") {
		b.Check.Path = "/mcp"
	}
	if b.Check.SendProxy {
		b.Check.ProxyHeader = b.SendProxy
	}
	if b.TLS != nil && b.TLS.Checks {
		b.Check.TLS = b.TLS
	}
}

// completeServers fills in the addresses that follow from others.
func completeServers(servers []Server) {
	for i := range servers {
		s := &servers[i]
		s.WS = cmp.Or(s.WS, s.HTTP)
		s.SSE = cmp.Or(s.SSE, s.HTTP)
	}
}
