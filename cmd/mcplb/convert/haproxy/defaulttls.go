package haproxy

import "mcplb/cmd/mcplb/convert/lb"

// defaultTLS is what ssl-default-bind-options or ssl-default-server-options say of the
// TLS of all listeners or servers that do not say it themselves.
type defaultTLS struct {
	version string // the least; "" = nothing was said
	notes   []string
	l       *line // nil = there is none
}

// tlsOptions are the options that all have: how many words follow each, which least
// version comes of it, and what differs.
var tlsOptions = map[string]struct {
	args          int
	version, note string
}{
	"no-sslv3": {}, "no-tlsv10": {}, "no-tlsv11": {}, "no-tlsv12": {version: "1.3"}, "prefer-client-ciphers": {},
	"force-tlsv12": {version: "1.2", note: "TLS 1.3 is used where both have it"}, "force-tlsv13": {version: "1.3"},
	"no-tlsv13":      {note: "TLS 1.3 is used where both have it"},
	"ssl-max-ver":    {args: 1, note: "the newest version that both have is used"},
	"no-tls-tickets": {note: "tickets are given, with keys that change daily"},
	"strict-sni":     {note: "names without a certificate get the first one"},
	"ssl-min-ver":    {args: 1},
}

// read reads the line, for listeners or servers.
func (d *defaultTLS) read(l *line, whose string) {
	d.l = l
	l.Unneeded("no TLS of " + whose + " takes it")
	for words := l.args(1); len(words) > 0; {
		o, known := tlsOptions[words[0]]
		if !known || len(words) <= o.args {
			l.Impossible("mcplb has no counterpart for the option %q of %s", words[0], whose)
			return
		}
		if words[0] == "ssl-min-ver" {
			if o.version, known = tlsVersions[words[1]]; !known {
				l.Impossible("%q is no version of TLS", words[1])
				return
			}
		}
		d.version = max(d.version, o.version)
		if o.note != "" {
			d.notes = append(d.notes, o.note)
		}
		words = words[1+o.args:]
	}
}

// apply says in the TLS of a listener or of servers what it does not say itself.
func (d *defaultTLS) apply(tls *lb.Table) {
	if d.l == nil {
		return
	}
	d.l.Translated()
	if d.version != "" {
		tls.Default("min_version", d.version)
		tls.Set("min_version", tls.Get("min_version"), d.l.Directive)
	}
	for _, note := range d.notes {
		tls.Differ(d.l.Directive, "", "%s", note)
	}
}
