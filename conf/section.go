package conf

import (
	"fmt"
	"slices"
	"strings"
)

// A table describes one table of lb.toml: the keys it may have, each a field
// of the struct S that holds the table's values.
type section[S any] struct {
	heading string // as an operator writes it, such as [frontend.NAME.sticky]
	fields  []field[S]
}

// A field is one key of a table: everything that depends on which key it is,
// so that decoding, defaults, suggestions and differences need no other list.
type field[S any] struct {
	name    string
	example string // for a key that must be given: how it may look; "" = the key has a default
	modes   []Mode // the modes of a frontend that may have the key; nil = all
	fixed   bool   // cannot change in a running process

	fill    func(into *S)                                       // sets the default
	decode  func(d *decoder, path string, raw any, into *S)     // sets what the file says, or reports a mistake
	compare func(path string, before, after *S) (c []KeyChange) // nil = the differ has its own way
}

// only returns f as a key of some modes alone.
func (f field[S]) only(modes ...Mode) field[S] {
	f.modes = modes
	return f
}

// atStart returns f as a key that a running process cannot change.
func (f field[S]) atStart() field[S] {
	f.fixed = true
	return f
}

// comparedApart returns f as a key whose differences its table leaves out.
func (f field[S]) comparedApart() field[S] {
	f.compare = nil
	return f
}

// key is a field that holds one value and has a default.
func key[S, V any](name string, k valueType[V], preset V, at func(*S) *V) field[S] {
	return field[S]{
		name: name,
		fill: func(into *S) { *at(into) = preset },
		decode: func(d *decoder, path string, raw any, into *S) {
			sound := true
			v := k.read(raw, func(place, reason string) {
				sound = false
				d.fail(path+place, "%s", reason)
			})
			if !sound {
				d.failed[path] = true // also when only an element is wrong
				return
			}
			*at(into) = v
		},
		compare: func(path string, before, after *S) []KeyChange {
			return change(path, k.show(*at(before)), k.show(*at(after)))
		},
	}
}

// required is a field that holds one value and must be given, such as example.
func required[S, V any](name string, k valueType[V], example string, at func(*S) *V) field[S] {
	var none V
	f := key(name, k, none, at)
	f.example = example
	return f
}

// sub is a table within a table. Without it, its keys have their defaults.
func sub[S, T any](name string, t *section[T], at func(*S) *T) field[S] {
	return field[S]{
		name: name,
		fill: func(into *S) { t.fill(at(into)) },
		decode: func(d *decoder, path string, raw any, into *S) {
			if keys, ok := d.sectionAt(path, raw); ok {
				t.decode(d, path, keys, at(into))
			}
		},
		compare: func(path string, before, after *S) []KeyChange {
			return t.compare(path, at(before), at(after))
		},
	}
}

// optional is a table within a table that means something by being there.
func optional[S, T any](name string, t *section[T], at func(*S) **T) field[S] {
	return field[S]{
		name: name,
		fill: func(into *S) { *at(into) = nil },
		decode: func(d *decoder, path string, raw any, into *S) {
			if keys, ok := d.sectionAt(path, raw); ok {
				v := new(T)
				t.fill(v)
				t.decode(d, path, keys, v)
				*at(into) = v
			}
		},
		compare: func(path string, before, after *S) []KeyChange {
			return change(path, t.showOptional(*at(before)), t.showOptional(*at(after)))
		},
	}
}

// several is an array of tables.
func several[S, T any](name string, t *section[T], at func(*S) *[]T) field[S] {
	return field[S]{
		name: name,
		fill: func(into *S) { *at(into) = nil },
		decode: func(d *decoder, path string, raw any, into *S) {
			tables, ok := elements(raw)
			if !ok {
				d.fail(path, "must be an array of tables: write [[%s]] in double brackets", path)
				return
			}
			list := make([]T, len(tables))
			for i, raw := range tables {
				t.fill(&list[i])
				if keys, ok := d.sectionAt(element(path, i), raw); ok {
					t.decode(d, element(path, i), keys, &list[i])
				}
			}
			*at(into) = list
		},
		compare: func(path string, before, after *S) []KeyChange {
			return change(path, t.showAll(*at(before)), t.showAll(*at(after)))
		},
	}
}

// byName is a table whose keys are names that the operator chose, each of
// them a table.
func byName[S, T any](name string, t *section[T], at func(*S) *[]T, nameOf func(*T) *string) field[S] {
	return field[S]{
		name: name,
		fill: func(into *S) { *at(into) = nil },
		decode: func(d *decoder, path string, raw any, into *S) {
			tables, ok := d.sectionAt(path, raw)
			if !ok {
				return
			}
			var list []T
			for _, name := range d.inOrder(path, tables) {
				var v T
				t.fill(&v)
				*nameOf(&v) = name
				if keys, ok := d.namedSection(path, name, tables[name]); ok {
					t.decode(d, join(path, name), keys, &v)
				}
				list = append(list, v)
			}
			*at(into) = list
		},
	}
}

// fill sets every default of t.
func (t *section[S]) fill(into *S) {
	for _, f := range t.fields {
		f.fill(into)
	}
}

// decode sets what the table at path says, whose keys and raw values are
// given, and reports what it says wrong or leaves out.
func (t *section[S]) decode(d *decoder, path string, keys map[string]any, into *S) {
	known := 0
	for _, f := range t.fields {
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
		if !t.has(name) {
			d.unknown(t.heading, t.keys(), path, name)
		}
	}
}

// compare returns what differs between two values of the table at path.
func (t *section[S]) compare(path string, before, after *S) []KeyChange {
	var changes []KeyChange
	for _, f := range t.fields {
		if f.compare != nil {
			changes = append(changes, f.compare(join(path, f.name), before, after)...)
		}
	}
	return changes
}

// showAll shows a list of tables, as TOML's inline tables, without the keys
// that have their defaults.
func (t *section[S]) showAll(list []S) string {
	shown := make([]string, len(list))
	for i := range list {
		shown[i] = t.showOptional(&list[i])
	}
	return "[" + strings.Join(shown, ", ") + "]"
}

func (t *section[S]) showOptional(v *S) string {
	if v == nil {
		return "none"
	}
	var preset S
	t.fill(&preset)
	var shown []string
	for _, c := range t.compare("", &preset, v) {
		shown = append(shown, fmt.Sprintf("%s = %s", c.Key, c.New))
	}
	return "{ " + strings.Join(shown, ", ") + " }"
}

// keys lists the names of the table's keys.
func (t *section[S]) keys() []string {
	names := make([]string, len(t.fields))
	for i, f := range t.fields {
		names[i] = f.name
	}
	return names
}

// has reports whether key is one of the section's keys.
func (t *section[S]) has(key string) bool {
	return slices.ContainsFunc(t.fields, func(f field[S]) bool { return f.name == key })
}

// title returns the table's heading.
func (t *section[S]) title() string { return t.heading }
