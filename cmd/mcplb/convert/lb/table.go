package lb

import (
	"fmt"
	"slices"
)

// Table is a table of lb.toml: keys in the order in which they were set first, each
// with its value, its comments and the directives that it comes from.
type Table struct {
	entries  []*entry
	comments []string     // above the table's header
	From     []*Directive // that the table comes from; their keys have more
}

// entry is a key of a table.
type entry struct {
	key      string
	value    any
	comments []string
	from     []*Directive
}

// Pair is a key and its value in an inline table.
type Pair struct {
	Key   string
	Value any
}

// Inline is an inline table.
type Inline []Pair

// Set sets a key, for directives that are thereby translated. Value is a string, an
// int, a float64, a bool, a time.Duration, an Inline, or a []string or []Inline.
func (t *Table) Set(key string, value any, from ...*Directive) {
	e := t.entry(key)
	if e == nil {
		e = &entry{key: key}
		t.entries = append(t.entries, e)
	}
	e.value = value
	for _, d := range from {
		d.Translated()
		if d != nil && !slices.Contains(e.from, d) {
			e.from = append(e.from, d)
		}
	}
}

// Get returns the value of a key, or nil.
func (t *Table) Get(key string) any {
	if e := t.entry(key); e != nil {
		return e.value
	}
	return nil
}

// Has reports whether the table has the key.
func (t *Table) Has(key string) bool { return t.entry(key) != nil }

// Delete removes a key.
func (t *Table) Delete(key string) {
	t.entries = slices.DeleteFunc(t.entries, func(e *entry) bool { return e.key == key })
}

// Differ says of a directive that mcplb does something else, in a comment beside the
// key, or above the table if it has no such key.
func (t *Table) Differ(d *Directive, key, format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	d.become(Different, note)
	if d != nil {
		note = d.Place.String() + ": " + note
	}
	t.Comment(key, note)
}

// Comment adds a comment beside a key, or above the table if it has no such key.
func (t *Table) Comment(key, text string) {
	comments := &t.comments
	if e := t.entry(key); e != nil {
		comments = &e.comments
	}
	if !slices.Contains(*comments, text) {
		*comments = append(*comments, text)
	}
}

func (t *Table) entry(key string) *entry {
	for _, e := range t.entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

// Empty reports whether the table has no key.
func (t *Table) Empty() bool { return len(t.entries) == 0 }

// Equal reports whether two tables have the same keys with the same values.
func (t *Table) Equal(other *Table) bool {
	return slices.EqualFunc(t.entries, other.entries, func(a, b *entry) bool { return a.key == b.key && fmt.Sprint(a.value) == fmt.Sprint(b.value) })
}

// Strings returns the list of strings of a key, or nil.
func (t *Table) Strings(key string) []string {
	list, _ := t.Get(key).([]string)
	return list
}

// AddTo adds strings to the list of a key that are not in it.
func (t *Table) AddTo(key string, from *Directive, values ...string) {
	list := slices.Clone(t.Strings(key))
	for _, v := range values {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	t.Set(key, list, from)
}

// Clone returns a copy, which may change by itself.
func (t *Table) Clone() *Table {
	c := &Table{comments: slices.Clone(t.comments), From: slices.Clone(t.From)}
	for _, e := range t.entries {
		c.entries = append(c.entries, &entry{e.key, e.value, slices.Clone(e.comments), slices.Clone(e.from)})
	}
	return c
}

// Merge sets in t what other has, with its comments.
func (t *Table) Merge(other *Table) {
	for _, e := range other.entries {
		t.Set(e.key, e.value, e.from...)
		for _, c := range e.comments {
			t.Comment(e.key, c)
		}
	}
	for _, c := range other.comments {
		t.Comment("", c)
	}
}

// Default sets a key unless it is set.
func (t *Table) Default(key string, value any) {
	if !t.Has(key) {
		t.Set(key, value)
	}
}

// sources returns the directives that the table and its keys come from.
func (t *Table) sources() []*Directive {
	all := slices.Clone(t.From)
	for _, e := range t.entries {
		all = append(all, e.from...)
	}
	return all
}
