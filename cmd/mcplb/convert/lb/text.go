package lb

import (
	"fmt"
	"slices"
	"strings"
)

// Text returns the configuration as TOML.
func (c *Config) Text() string {
	text, _ := c.write()
	return text
}

// writer writes a configuration, and remembers what each line comes from.
type writer struct {
	text  strings.Builder
	lines []origin // by number, from 1 at index 0
}

// origin is what a line of the text comes from.
type origin struct {
	table   *Table
	key     string        // "" = the table's header
	removed func() *Table // removes what the line belongs to, and returns it
}

func (w *writer) line(o origin, format string, args ...any) {
	fmt.Fprintf(&w.text, format+"\n", args...)
	w.lines = append(w.lines, o)
}

func (w *writer) comment(text string) {
	const width = 150
	prefix := "# "
	words := strings.Fields(Plain(text))
	for len(words) > 0 {
		n, length := 1, len(words[0])
		for n < len(words) && length+1+len(words[n]) <= width {
			length += 1 + len(words[n])
			n++
		}
		w.line(origin{}, "%s%s", prefix, strings.Join(words[:n], " "))
		words, prefix = words[n:], "#   "
	}
}

func (c *Config) write() (string, []origin) {
	w := &writer{}
	c.writeHead(w)
	w.table("[global]", &c.Global, nil)
	w.table("[admin]", &c.Admin, nil)
	w.table("[resolver]", &c.Resolver, nil)
	w.table("[ratelimit]", &c.RateLimit, nil)
	for _, f := range c.Frontends {
		f.write(w, func() *Table {
			c.Frontends = slices.DeleteFunc(c.Frontends, func(other *Frontend) bool { return other == f })
			return &Table{From: f.From}
		})
	}
	for _, b := range c.Backends {
		b.write(w)
	}
	return w.text.String(), w.lines
}

// writeHead says what the file is, and what is not in it.
func (c *Config) writeHead(w *writer) {
	w.comment(fmt.Sprintf("Converted from %s by mcplb convert. Comments name what differs, with the directive's place.", c.Language))
	for _, remark := range c.Remarks {
		w.comment(remark)
	}
	for _, d := range c.Opened() {
		w.comment(fmt.Sprintf("NOT POSSIBLE, OPEN: %s: %s: what it refuses reaches servers: %s", d.Place, d.Text, d.Note()))
	}
	for _, d := range c.Directives {
		if d.Outcome() == Impossible && !d.Opens() {
			w.comment(fmt.Sprintf("NOT POSSIBLE: %s: %s: %s", d.Place, d.Text, d.Note()))
		}
	}
}

// write writes the section. remove takes it out, where its header is refused since it lacks
// what was refused before.
func (f *Frontend) write(w *writer, remove func() *Table) {
	at := "frontend." + Key(f.Name)
	if f.Has("listen") {
		remove = nil
	}
	w.section("["+at+"]", &f.Table, remove)
	w.table("["+at+".sticky]", &f.Sticky, nil)
	if f.TLS != nil {
		w.named("["+at+".tls]", f.TLS, nil)
	}
	for _, r := range f.Routes {
		w.named("[["+at+".route]]", r, func() *Table {
			f.Routes = slices.DeleteFunc(f.Routes, func(other *Table) bool { return other == r })
			return r
		})
	}
}

func (b *Backend) write(w *writer) {
	at := "backend." + Key(b.Name)
	w.section("["+at+"]", &b.Table, b.fill())
	if b.TLS != nil {
		w.named("["+at+".tls]", b.TLS, nil)
	}
	w.table("["+at+".check]", &b.Check, nil)
	if b.Discover != nil {
		w.section("["+at+".discover]", b.Discover, func() *Table {
			discover := b.Discover
			b.Discover = nil
			return discover
		})
	}
	for _, s := range b.Servers {
		w.named("[["+at+".server]]", s, func() *Table {
			b.Servers = slices.DeleteFunc(b.Servers, func(other *Table) bool { return other == s })
			return s
		})
	}
}

// fill returns what gives a backend that has lost its servers one that takes no clients, or
// nil if it has some.
func (b *Backend) fill() func() *Table {
	if len(b.Servers) > 0 || b.Discover != nil {
		return nil
	}
	return func() *Table {
		none := b.AddServer("none")
		none.Set("tcp", "127.0.0.1:9")
		none.Set("http", "127.0.0.1:9")
		none.Set("disabled", true)
		return &Table{From: b.From}
	}
}

// table writes a table that has something to say.
func (w *writer) table(header string, t *Table, remove func() *Table) {
	if len(t.entries)+len(t.comments) > 0 {
		w.named(header, t, remove)
	}
}

// section writes a table that goes as a whole if its header is refused, and else by keys.
func (w *writer) section(header string, t *Table, remove func() *Table) {
	at := len(w.lines) + len(t.comments)
	w.named(header, t, nil)
	for i := at; i < len(w.lines); i++ {
		if w.lines[i].table == t && w.lines[i].key == "" {
			w.lines[i].removed = remove
		}
	}
}

// named writes a table, whose header says something by itself.
func (w *writer) named(header string, t *Table, remove func() *Table) {
	w.line(origin{}, "")
	for _, text := range t.comments {
		w.comment(text)
	}
	w.line(origin{table: t, removed: remove}, "%s", header)
	for _, e := range t.entries {
		t.writeEntry(w, e, remove)
	}
}

// shortComment is the length up to which a comment stands behind its key.
const shortComment = 100

func (t *Table) writeEntry(w *writer, e *entry, remove func() *Table) {
	behind := ""
	if len(e.comments) == 1 && len(e.comments[0]) <= shortComment {
		behind = " # " + Plain(e.comments[0])
	} else {
		for _, text := range e.comments {
			w.comment(text)
		}
	}
	w.line(origin{table: t, key: e.key, removed: remove}, "%s = %s%s", Key(e.key), show(e.value), behind)
}

// Refuse takes out what stands in a line of the text, counted from 1, because mcplb
// refuses it for that reason: the key, or in a route or a server all of it, since a
// route with a condition less would hold for more. It reports whether there was
// anything to take out.
func (c *Config) Refuse(line int, reason string) bool {
	_, lines := c.write()
	if line < 1 || line > len(lines) {
		return false
	}
	o := lines[line-1]
	var sources []*Directive
	refuses := false
	switch {
	case o.table == nil:
		return false
	case o.removed != nil:
		removed := o.removed()
		sources, refuses = removed.sources(), removed.refuses()
	case o.key == "":
		return false
	default:
		sources = o.table.entry(o.key).from
		o.table.Delete(o.key)
	}
	for _, d := range sources {
		if refuses {
			d.Opened("mcplb refuses it: %s", reason)
		} else {
			d.Impossible("mcplb refuses it: %s", reason)
		}
	}
	return true
}

// refuses reports whether a route refuses its requests.
func (t *Table) refuses() bool {
	respond, _ := t.Get("respond").(Inline)
	return t.Has("deny") || slices.ContainsFunc(respond, func(p Pair) bool {
		status, _ := p.Value.(int)
		return p.Key == "status" && status >= 400
	})
}
