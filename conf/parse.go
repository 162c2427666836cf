package conf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
)

// Load reads the configuration file at path. Its error is an Errors, with
// every mistake in the file, or tells why the file cannot be read.
//
// Paths in the file (certificates, token, log) that are not absolute start
// from the process's working directory.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, text)
}

// Parse is Load for a text that is read already; name stands for its path in
// Config.Path and in mistakes. Its error is an Errors.
func Parse(name string, text []byte) (*Config, error) {
	c, d := understand(name, text)
	return d.result(c)
}

// understand parses, fills in and validates text. The Config counts only if d
// found no mistake.
func understand(name string, text []byte) (*Config, *decoder) {
	c := &Config{Path: name}
	rootTable.fill(c)
	d := &decoder{file: name, tables: allTables, positions: locate(text), failed: map[string]bool{}}
	var raw map[string]any
	if err := toml.Unmarshal(text, &raw); err != nil {
		d.notTOML(text, err)
		return c, d
	}
	rootTable.decode(d, "", raw, c)
	complete(c, d)
	validate(c, d)
	return c, d
}

// complete fills in the defaults that depend on another key.
func complete(c *Config, d *decoder) {
	for i := range c.Backends {
		b := &c.Backends[i]
		if path := join("backend", b.Name); !d.positions.names(path + ".check.fast_interval") {
			b.Check.FastInterval = min(b.Check.FastInterval, b.Check.Interval)
		}
		for j := range b.Servers {
			s := &b.Servers[j]
			s.WS = cmp.Or(s.WS, s.HTTP)
			s.SSE = cmp.Or(s.SSE, s.HTTP)
		}
	}
}

// decoder collects the mistakes of one file.
type decoder struct {
	file      string
	tables    []titled // every table there is; a field, for a variable would be initialized by itself
	positions *positions
	mistakes  Errors
	failed    map[string]bool // paths whose values do not count
}

// result returns c, or every mistake that was found.
func (d *decoder) result(c *Config) (*Config, error) {
	if len(d.mistakes) > 0 {
		return nil, sorted(d.mistakes)
	}
	return c, nil
}

// fail reports that the value at path is wrong or missing, so that nothing
// is to be concluded from it.
func (d *decoder) fail(path, format string, args ...any) {
	d.failed[path] = true
	d.report(path, format, args...)
}

// report reports a mistake that leaves the value at path as good as it was.
func (d *decoder) report(path, format string, args ...any) {
	d.mistakes = append(d.mistakes, Error{d.file, d.positions.line(path), path, fmt.Sprintf(format, args...)})
}

// sound reports whether the values at all paths, and the tables around them,
// could be read, so that they may be compared with each other.
func (d *decoder) sound(paths ...string) bool {
	if len(d.failed) == 0 {
		return true
	}
	for _, path := range paths {
		for path != "" {
			if d.failed[path] {
				return false
			}
			path = path[:max(strings.LastIndexAny(path, ".["), 0)]
		}
	}
	return true
}

// given reports whether the file has the key at path.
func (d *decoder) given(path string) bool { return d.positions.names(path) }

// where says in which line path stands, for a mistake elsewhere that has to
// do with it.
func (d *decoder) where(path string) string {
	if !d.given(path) {
		return path + ", a default"
	}
	return fmt.Sprintf("%s, line %d", path, d.positions.line(path))
}

// tableAt returns raw, the value at path, as a table.
func (d *decoder) tableAt(path string, raw any) (map[string]any, bool) {
	switch v := raw.(type) {
	case map[string]any:
		return v, true
	case []any:
		d.fail(path, "must be one table, not %s: write [%s] in single brackets", describe(raw), path)
	default:
		d.fail(path, "must be a table, not %s: write [%s] and its keys below", describe(raw), path)
	}
	return nil, false
}

// longestName bounds names, which end up in metrics, logs and tables.
const longestName = 64

// namedTable returns raw, the table called name in the table at path.
func (d *decoder) namedTable(path, name string, raw any) (map[string]any, bool) {
	if _, isTable := raw.(map[string]any); !isTable && describe(raw) != "an array of tables" {
		d.fail(join(path, name), "stands in [%s], which has no keys of its own: every %s has a name, write [%s.NAME] above its keys", path, path, path)
		return nil, false
	}
	if err := checkName(name); err != nil {
		d.report(join(path, name), "is no name for a %s: %s", path, err)
	}
	return d.tableAt(join(path, name), raw)
}

// serverName is the kind of a server's name.
var serverName = word("a name, such as \"node1\"", func(s string) (string, error) {
	if s == "FRONTEND" || s == "BACKEND" {
		return "", fmt.Errorf("must not be %q: the statistics call their sums so", s)
	}
	if err := checkName(s); err != nil {
		return "", fmt.Errorf("is no name for a server: %w", err)
	}
	return s, nil
})

// checkName accepts what every place that shows names can show.
func checkName(name string) error {
	if len(name) <= longestName && isBareKey(strings.ReplaceAll(name, ".", "")) {
		return nil
	}
	return fmt.Errorf("a name has 1 to %d letters (a-z, A-Z), digits, hyphens, underscores and dots", longestName)
}

// inOrder returns the names of the tables at path in the order of the file.
func (d *decoder) inOrder(path string, tables map[string]any) []string {
	return slices.SortedFunc(maps.Keys(tables), func(a, b string) int {
		return cmp.Or(
			cmp.Compare(d.positions.at[join(path, a)].offset, d.positions.at[join(path, b)].offset),
			cmp.Compare(a, b))
	})
}

// unknown reports a key that the table at path, with this heading and these
// keys, does not have: where it belongs, or what may have been meant.
func (d *decoder) unknown(heading string, keys []string, path, name string) {
	var homes []string
	for _, t := range d.tables {
		if slices.Contains(t.keys(), name) {
			homes = append(homes, t.title())
		}
	}
	reason := "is no key of " + heading
	switch guess := didYouMean(name, keys); {
	case len(homes) > 0:
		reason += "; it belongs in " + enumerate(homes, "or")
	case guess != "":
		reason += guess
	default:
		reason += ", which has " + enumerate(keys, "and")
	}
	d.fail(join(path, name), "%s", reason)
}

// notTOML reports why the TOML library refused text.
func (d *decoder) notTOML(text []byte, err error) {
	for _, c := range d.positions.conflicts {
		d.mistakes = append(d.mistakes, Error{d.file, d.positions.lineOf(c.second), c.path,
			fmt.Sprintf("is defined in line %d already: %s", d.positions.lineOf(c.first), c.remedy)})
	}
	if len(d.mistakes) > 0 {
		return // what the library says is the first of these
	}
	line, column := 1, 1
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, column = wrong.Position()
	}
	reason := strings.TrimPrefix(err.Error(), "toml: ")
	d.mistakes = append(d.mistakes, Error{d.file, line, "not valid TOML",
		fmt.Sprintf("%s (column %d)%s", reason, column, hint(text, line, reason))})
}

// hint guesses at the commonest slips in a line that is not TOML: a string
// without quotes, no value at all, and a list that does not end before it.
func hint(text []byte, line int, reason string) string {
	lines := strings.Split(string(text), "\n")
	key, value, hasValue := strings.Cut(lines[min(line, len(lines))-1], "=")
	key = strings.TrimSpace(key)
	value, _, _ = strings.Cut(value, "#")
	value = strings.TrimSpace(value)
	switch {
	case strings.HasPrefix(key, "[") && !strings.HasPrefix(reason, "expected ']"):
		return ": is the list above closed?"
	case !hasValue || !isBareKey(key):
		return ""
	case value == "":
		return ": write a value after the ="
	case strings.ContainsFunc(value, isStringLike) && !strings.ContainsAny(value, `"'[]{}`):
		return fmt.Sprintf(": write a string in quotes, as %s = %s", key, strconv.Quote(value))
	}
	return ""
}

// isStringLike reports whether r stands in words, paths and addresses, and
// hardly in numbers.
func isStringLike(r rune) bool { return unicode.IsLetter(r) || r == ':' || r == '/' }
