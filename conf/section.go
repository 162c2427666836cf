package conf

import (
	"fmt"
	"slices"
	"strings"
)

// section describes one table of lb.toml: the keys it may have, each a field of
// the struct S that holds the table's values.
type section[S any] struct {
	heading string // as an operator writes it, such as [frontend.NAME.sticky]
	fields  []field[S]
}

// field is one key of a section. It holds everything that depends on the key, so
// that decoding, defaults, suggestions and differences need no other list.
type field[S any] struct {
	name    string
	example string // of the value of a required key; "" = the key has a default
	modes   []Mode // the modes of a frontend that may have the key; nil = all
	fixed   bool   // cannot change in a running process
	table   bool   // holds one or more sections
	preset  string // the default, as the file would say it; "" = required, or a table

	fill    func(into *S)                                       // sets the default
	decode  func(d *decoder, path string, raw any, into *S)     // sets what the file says, or reports a mistake
	compare func(path string, before, after *S) (c []KeyChange) // nil = Diff compares the key itself
	schema  func() node
}

// only returns f as a key of certain modes only.
func (f field[S]) only(modes ...Mode) field[S] {
	f.modes = modes
	return f
}

// atStart returns f as a key that a running process cannot change.
func (f field[S]) atStart() field[S] {
	f.fixed = true
	return f
}

// comparedApart returns f as a key that Diff compares itself.
func (f field[S]) comparedApart() field[S] {
	f.compare = nil
	return f
}

// key is a field that holds one value and has a default.
func key[S, V any](name string, t valueType[V], preset V, at func(*S) *V) field[S] {
	return field[S]{
		name:   name,
		preset: inFile(t.show(preset)),
		fill:   func(into *S) { *at(into) = preset },
		decode: func(d *decoder, path string, raw any, into *S) {
			sound := true
			fail := func(place, reason string) {
				sound = false
				d.fail(path+place, "%s", reason)
			}
			var v V
			raw = expand(raw, fail)
			if text, isVariable := raw.(fromVariable); isVariable {
				v = readVariable(t, text, fail)
			} else if sound {
				v = t.read(raw, fail)
			}
			if !sound {
				d.failed[path] = true // also when only an element is wrong
				return
			}
			*at(into) = v
		},
		compare: func(path string, before, after *S) []KeyChange {
			return change(path, t.show(*at(before)), t.show(*at(after)))
		},
		schema: func() node { return withDefault(t.schema, t.show(preset)) },
	}
}

// required is a field that holds one value and has no default. example shows how
// the value may look.
func required[S, V any](name string, t valueType[V], example string, at func(*S) *V) field[S] {
	var none V
	f := key(name, t, none, at)
	f.example, f.preset = example, ""
	f.schema = func() node { return t.schema }
	return f
}

// sub is a section within a section. If it is absent, its keys have their
// defaults.
func sub[S, T any](name string, inner *section[T], at func(*S) *T) field[S] {
	return field[S]{
		name:  name,
		table: true,
		fill:  func(into *S) { inner.fill(at(into)) },
		decode: func(d *decoder, path string, raw any, into *S) {
			if keys, ok := d.sectionAt(path, raw); ok {
				inner.decode(d, path, keys, at(into))
			}
		},
		compare: func(path string, before, after *S) []KeyChange {
			return inner.compare(path, at(before), at(after))
		},
		schema: inner.schema,
	}
}

// optional is a section within a section whose presence has a meaning.
func optional[S, T any](name string, inner *section[T], at func(*S) **T) field[S] {
	return field[S]{
		name:  name,
		table: true,
		fill:  func(into *S) { *at(into) = nil },
		decode: func(d *decoder, path string, raw any, into *S) {
			if keys, ok := d.sectionAt(path, raw); ok {
				v := new(T)
				inner.fill(v)
				inner.decode(d, path, keys, v)
				*at(into) = v
			}
		},
		compare: func(path string, before, after *S) []KeyChange {
			return change(path, inner.showOptional(*at(before)), inner.showOptional(*at(after)))
		},
		schema: inner.schema,
	}
}

// several is an array of sections.
func several[S, T any](name string, inner *section[T], at func(*S) *[]T) field[S] {
	return field[S]{
		name:  name,
		table: true,
		fill:  func(into *S) { *at(into) = nil },
		decode: func(d *decoder, path string, raw any, into *S) {
			tables, ok := elements(raw)
			if !ok {
				d.fail(path, "must be an array of tables: write [[%s]] in double brackets", tableName(path))
				return
			}
			list := make([]T, len(tables))
			for i, raw := range tables {
				inner.fill(&list[i])
				if keys, ok := d.sectionAt(element(path, i), raw); ok {
					inner.decode(d, element(path, i), keys, &list[i])
				}
			}
			*at(into) = list
		},
		compare: func(path string, before, after *S) []KeyChange {
			return change(path, inner.showAll(*at(before)), inner.showAll(*at(after)))
		},
		schema: func() node { return node{"type": "array", "items": inner.schema()} },
	}
}

// byName is a section whose keys are names chosen by the operator, each with a
// section as its value.
func byName[S, T any](name string, inner *section[T], at func(*S) *[]T, nameOf func(*T) *string) field[S] {
	return field[S]{
		name:  name,
		table: true,
		fill:  func(into *S) { *at(into) = nil },
		decode: func(d *decoder, path string, raw any, into *S) {
			tables, ok := d.sectionAt(path, raw)
			if !ok {
				return
			}
			var list []T
			for _, name := range d.inOrder(path, tables) {
				var v T
				inner.fill(&v)
				*nameOf(&v) = name
				if keys, ok := d.namedSection(path, name, tables[name]); ok {
					inner.decode(d, join(path, name), keys, &v)
				}
				list = append(list, v)
			}
			*at(into) = list
		},
		schema: func() node { return node{"type": "object", "additionalProperties": inner.schema()} },
	}
}

// fill sets every default of the section.
func (s *section[S]) fill(into *S) {
	for _, f := range s.fields {
		f.fill(into)
	}
}

// decode sets the values of the section at path from its keys and raw values, and
// reports what is wrong or missing.
func (s *section[S]) decode(d *decoder, path string, keys map[string]any, into *S) {
	known := 0
	for _, f := range s.fields {
		raw, given := keys[f.name]
		switch {
		case given:
			known++
			f.decode(d, join(path, f.name), raw, into)
		case f.example != "":
			d.fail(join(path, f.name), "is missing: add it, such as %s = %s", f.name, f.example)
		}
	}
	if known == len(keys) {
		return
	}
	for name := range keys {
		if !s.has(name) {
			d.unknown(s.heading, s.keys(), path, name, keys[name])
		}
	}
}

// compare returns the differences between two values of the section at path.
func (s *section[S]) compare(path string, before, after *S) []KeyChange {
	var changes []KeyChange
	for _, f := range s.fields {
		if f.compare != nil {
			changes = append(changes, f.compare(join(path, f.name), before, after)...)
		}
	}
	return changes
}

// showAll shows a list of sections as inline tables, without the keys that have
// their defaults.
func (s *section[S]) showAll(list []S) string {
	shown := make([]string, len(list))
	for i := range list {
		shown[i] = s.showOptional(&list[i])
	}
	return "[" + strings.Join(shown, ", ") + "]"
}

func (s *section[S]) showOptional(v *S) string {
	if v == nil {
		return "none"
	}
	var preset S
	s.fill(&preset)
	var shown []string
	for _, c := range s.compare("", &preset, v) {
		shown = append(shown, fmt.Sprintf("%s = %s", c.Key, c.New))
	}
	return "{ " + strings.Join(shown, ", ") + " }"
}

// keys returns the names of the section's keys.
func (s *section[S]) keys() []string {
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.name
	}
	return names
}

// has reports whether key is one of the section's keys.
func (s *section[S]) has(key string) bool {
	return slices.ContainsFunc(s.fields, func(f field[S]) bool { return f.name == key })
}

// title returns the section's heading.
func (s *section[S]) title() string { return s.heading }
