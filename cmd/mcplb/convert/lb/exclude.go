package lb

import (
	"fmt"
	"slices"
	"strings"
)

// conditions are the keys of a route that say for which requests it is, beside their opposites.
var conditions = []string{"host", "path", "path_exact", "methods", "headers", "source"}

// Beyond returns the conditions of a route that a base has not, or has with other values.
func (t *Table) Beyond(base *Table) *Table {
	extra := &Table{}
	for _, e := range t.entries {
		plain := strings.TrimPrefix(e.key, "not_")
		if slices.Contains(conditions, plain) && fmt.Sprint(base.Get(e.key)) != fmt.Sprint(e.value) {
			extra.Set(e.key, e.value)
		}
	}
	return extra
}

// Exclude takes out of the requests of a route those of another, which has one condition more
// than a base that both have. It reports whether a route can say so.
func (t *Table) Exclude(other, base *Table) bool {
	extra := other.Beyond(base)
	if len(extra.entries) != 1 || extra.Has("not_source") { // a denial has a source itself
		return false
	}
	e := extra.entries[0]
	opposite, negative := strings.CutPrefix(e.key, "not_")
	if !negative {
		opposite = "not_" + e.key
	}
	switch value := e.value.(type) {
	case string:
		t.AddTo(opposite, nil, value)
	case []string:
		if negative && t.Has(opposite) {
			return false
		}
		t.AddTo(opposite, nil, value...)
	case Inline:
		if len(value) != 1 || t.Has(opposite) {
			return false
		}
		t.Set(opposite, value)
	default:
		return false
	}
	return true
}

// common returns what is in two lists of values of a key.
func common(key string, a, b []string) []string {
	if key == "source" {
		both, err := Both(a, b)
		if err == nil {
			return both
		}
	}
	return slices.DeleteFunc(slices.Clone(a), func(v string) bool { return !slices.Contains(b, v) })
}

// Narrow adds conditions to those of a route. It reports false where no request has both, as far
// as that is known.
func (t *Table) Narrow(extra *Table) bool {
	for _, e := range extra.entries {
		old, both := t.Get(e.key).(Inline)
		more, _ := e.value.(Inline)
		switch {
		case both:
			t.Set(e.key, slices.Concat(old, more))
		case strings.HasPrefix(e.key, "not_") && t.Strings(e.key) != nil:
			t.AddTo(e.key, nil, extra.Strings(e.key)...)
		case t.Strings(e.key) != nil:
			t.Set(e.key, common(e.key, t.Strings(e.key), extra.Strings(e.key)))
			if len(t.Strings(e.key)) == 0 {
				return false
			}
		case t.Has(e.key) && fmt.Sprint(t.Get(e.key)) != fmt.Sprint(e.value):
			return false
		default:
			t.Set(e.key, e.value)
		}
	}
	return true
}
