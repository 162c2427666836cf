package conf

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// decoder collects the mistakes in the files of a configuration.
type decoder struct {
	files     []string // their names
	sections  []titled // allSections, which cannot be named here: an initialization cycle
	positions *positions
	mistakes  Errors
	failed    map[string]bool // paths whose values are wrong or missing
}

// result returns c, or every mistake that was found.
func (d *decoder) result(c *Config) (*Config, error) {
	if len(d.mistakes) > 0 {
		return nil, sorted(d.mistakes, d.files)
	}
	return c, nil
}

// fail records that the value at path is wrong or missing, so that nothing can be
// concluded from it.
func (d *decoder) fail(path, format string, args ...any) {
	d.failed[path] = true
	d.report(path, format, args...)
}

// report records a mistake at path whose value can be used all the same.
func (d *decoder) report(path, format string, args ...any) {
	at := d.positions.place(path)
	d.mistakes = append(d.mistakes, Error{d.files[at.file], at.line, path, fmt.Sprintf(format, args...)})
}

// sound reports whether the values at all paths and the sections around them are
// right, so that they may be compared with each other.
func (d *decoder) sound(paths ...string) bool {
	if len(d.failed) == 0 {
		return true
	}
	for _, path := range paths {
		for outer := range enclosing(path) {
			if d.failed[outer] {
				return false
			}
		}
	}
	return true
}

// given reports whether a file has the key at path.
func (d *decoder) given(path string) bool { return d.positions.names(path) }

// where returns path with its line, for a mistake elsewhere that refers to it.
func (d *decoder) where(path string) string {
	if !d.given(path) {
		return path + ", a default"
	}
	at := d.positions.place(path)
	if len(d.files) > 1 {
		return fmt.Sprintf("%s, %s:%d", path, d.files[at.file], at.line)
	}
	return fmt.Sprintf("%s, line %d", path, at.line)
}

// sectionAt returns raw, the value at path, if it is a table.
func (d *decoder) sectionAt(path string, raw any) (map[string]any, bool) {
	switch v := raw.(type) {
	case map[string]any:
		return v, true
	case []any, []map[string]any:
		d.fail(path, "must be one table, not %s: write [%s] in single brackets", describe(raw), tableName(path))
	default:
		d.fail(path, "must be a table, not %s: write [%s] and its keys below", describe(raw), tableName(path))
	}
	return nil, false
}

// namedSection returns raw, the section called name in the section at path, if it
// is a table.
func (d *decoder) namedSection(path, name string, raw any) (map[string]any, bool) {
	if _, isTable := raw.(map[string]any); !isTable && describe(raw) != "an array of tables" {
		d.fail(join(path, name), "is in [%s], which holds no keys: every %s has a name, so write [%s.NAME] above its keys", path, path, path)
		return nil, false
	}
	if err := checkName(name); err != nil {
		d.report(join(path, name), "is not a valid name for a %s: %s", path, err)
	}
	return d.sectionAt(join(path, name), raw)
}

// inOrder returns the names of the sections at path in the order of the file.
func (d *decoder) inOrder(path string, tables map[string]any) []string {
	return slices.SortedFunc(maps.Keys(tables), func(a, b string) int {
		return cmp.Or(
			cmp.Compare(d.positions.at[join(path, a)].order, d.positions.at[join(path, b)].order),
			cmp.Compare(a, b))
	})
}

// traefikTables are tables of Traefik, whose configuration is TOML, too.
var traefikTables = []string{"accessLog", "api", "certificatesResolvers", "entryPoints", "http", "providers", "tcp", "tls", "udp"}

// unknown reports a key that the section at path, with this heading and these
// keys, does not have. It suggests where the key belongs, or which key was meant.
func (d *decoder) unknown(heading string, keys []string, path, name string, raw any) {
	var owners []string
	for _, t := range d.sections {
		if t.has(name) {
			owners = append(owners, t.title())
		}
	}
	reason := "is no key of " + heading
	_, isTable := raw.(map[string]any)
	switch guess := didYouMean(name, keys); {
	case path == "" && isTable && slices.Contains(traefikTables, name):
		reason += ": it is of Traefik, which has other tables: docs/configuration.md explains every key, packaging/lb.toml is a complete file"
	case len(owners) > 0:
		reason += "; it belongs in " + enumerate(owners, "or")
	case guess != "":
		reason += guess
	default:
		reason += ", which has " + enumerate(keys, "and")
	}
	d.fail(join(path, name), "%s", reason)
}
