package conf

import "strings"

// Key is one key of the configuration, for a reference.
type Key struct {
	Section     string // its heading as an operator writes it, such as [frontend.NAME.sticky]
	Name        string
	Default     string   // as the file would say it; "" = the key is required, or is a table
	Example     string   // of a required key
	Values      []string // the only ones, if they are words; nil = see Description
	Description string   // what the value means, 0 in particular; one line
	Modes       []Mode   // the modes of a frontend that may have the key; nil = all
	AtStart     bool     // a reload does not change it
}

// Keys returns every key in the order of the reference.
func Keys() (keys []Key) {
	for _, s := range allSections {
		keys = append(keys, s.reference()...)
	}
	return keys
}

// reference returns the section's keys that hold values.
func (s *section[S]) reference() (keys []Key) {
	for _, f := range s.fields {
		if f.table {
			continue
		}
		values, _ := f.schema()["enum"].([]string)
		keys = append(keys, Key{
			Values: values, Section: s.heading, Name: f.name, Default: f.preset, Example: f.example,
			Description: f.describe(s.heading), Modes: f.modes, AtStart: f.fixed,
		})
	}
	return keys
}

// describe returns what a key of the section with that heading means.
func (f field[S]) describe(heading string) string { return descriptions[place(heading, f.name)] }

// place is where descriptions has a key.
func place(heading, key string) string { return strings.Trim(heading, "[]") + " " + key }
