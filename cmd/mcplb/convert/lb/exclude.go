package lb

import (
	"fmt"
	"slices"
	"strings"
)

// conditions are the keys of a route that say for which requests it is, as lists or as headers.
var conditions = []string{"host", "path", "path_exact", "methods", "headers", "source"}

// Exclude takes out of the requests of a route those of another, which has one condition more
// than a base that both have. It reports whether a route can say so.
func (t *Table) Exclude(other, base *Table) bool {
	key := ""
	for _, e := range other.entries {
		plain := strings.TrimPrefix(e.key, "not_")
		if !slices.Contains(conditions, plain) || fmt.Sprint(base.Get(e.key)) == fmt.Sprint(e.value) {
			continue
		}
		if key != "" {
			return false
		}
		key = e.key
	}
	if key == "not_source" {
		return false // a denial has a source itself
	}
	opposite, positive := strings.CutPrefix(key, "not_")
	if !positive {
		opposite = "not_" + key
	}
	switch value := other.Get(key).(type) {
	case string:
		t.AddTo(opposite, nil, value)
	case []string:
		if positive && t.Has(opposite) {
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
