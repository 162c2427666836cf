package conf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Load reads the configuration file at path. Its error is an Errors, with every
// mistake in the file, or the reason why the file cannot be read.
//
// Relative paths in the file (certificates, token, log) are relative to the
// process's working directory.
func Load(path string) (*Config, error) {
	text, err := ReadConfig(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// ReadConfig reads the text of a configuration file: a regular one of at most 16
// MiB.
func ReadConfig(path string) ([]byte, error) {
	if path == "-" {
		return nil, errors.New(`reading the configuration: "-" is not standard input: write the text to a file and name that (a file called "-" is "./-")`)
	}
	text, err := ReadFile(path, mostConfig)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return text, nil
}

// Parse is Load for the text of a file; name is used as its path in Config.Path
// and in mistakes. Its error is an Errors.
func Parse(name string, text []byte) (*Config, error) {
	c, d := parse(name, text)
	return d.result(c)
}

// ParseAdmin returns the section [admin] of the text of a file for a command that has to
// find the balancer, whatever is wrong with other sections, and with keys other than listen
// and token_file. name stands for its path in mistakes; the error is an Errors.
func ParseAdmin(name string, text []byte) (*Admin, error) {
	c := &Config{Path: name}
	rootSection.fill(c)
	document := strings.TrimPrefix(string(text), byteOrderMark)
	read, err := readDocument(document)
	d := &decoder{file: name, sections: allSections, positions: read.positions, failed: map[string]bool{}}
	if d.valid(document, err) {
		if raw, given := read.values["admin"]; given {
			if keys, isTable := d.sectionAt("admin", raw); isTable {
				adminSection.decode(d, "admin", keys, &c.Admin)
			}
		}
	}
	mistakes := slices.DeleteFunc(d.mistakes, func(m Error) bool {
		return strings.HasPrefix(m.Key, "admin.") && m.Key != "admin.listen" && m.Key != "admin.token_file"
	})
	if len(mistakes) > 0 {
		return nil, sorted(mistakes)
	}
	return &c.Admin, nil
}

// parse decodes text, fills in defaults and validates. The Config is valid only if
// the decoder has no mistakes.
func parse(name string, text []byte) (*Config, *decoder) {
	c := &Config{Path: name}
	rootSection.fill(c)
	document := strings.TrimPrefix(string(text), byteOrderMark)
	read, err := readDocument(document)
	d := &decoder{file: name, sections: allSections, positions: read.positions, failed: map[string]bool{}}
	if !d.valid(document, err) {
		return c, d
	}
	rootSection.decode(d, "", read.values, c)
	complete(c, d)
	validate(c, d)
	return c, d
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
		for j := range b.Servers {
			s := &b.Servers[j]
			s.WS = cmp.Or(s.WS, s.HTTP)
			s.SSE = cmp.Or(s.SSE, s.HTTP)
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
}
