package lb

import (
	"fmt"
	"testing"
)

func table(pairs ...any) *Table {
	t := &Table{}
	for i := 0; i < len(pairs); i += 2 {
		t.Set(pairs[i].(string), pairs[i+1])
	}
	return t
}

// A denial that is repeated for a narrower route must hold for all of its requests: else
// somebody gets in who was kept out.
func TestNarrow(t *testing.T) {
	header := Inline{{Key: "X-A", Value: []string{"1"}}}
	for _, c := range []struct {
		deny, extra, want *Table
		holds             bool
	}{
		{table("path", "/a", "source", []string{"10.0.0.1"}), table("headers", header), table("path", "/a", "source", []string{"10.0.0.1"}, "headers", header), true},
		{table("source", []string{"10.0.0.0/8"}), table("source", []string{"10.1.0.0/16", "192.0.2.1"}), table("source", []string{"10.1.0.0/16"}), true},
		{table("source", []string{"10.0.0.0/8"}), table("source", []string{"192.0.2.1"}), table("source", []string(nil)), false},
		{table("not_source", []string{"10.0.0.0/8"}), table("not_source", []string{"192.0.2.1"}), table("not_source", []string{"10.0.0.0/8", "192.0.2.1"}), true},
		{table("methods", []string{"GET", "PUT"}), table("methods", []string{"PUT"}), table("methods", []string{"PUT"}), true},
		{table("path", "/a"), table("path", "/b"), table("path", "/a"), false},
	} {
		before := fmt.Sprint(c.deny.Get("source"))
		if holds := c.deny.Narrow(c.extra); holds != c.holds || holds && !c.deny.Equal(c.want) {
			t.Errorf("%s and %v: %t, %v", before, c.extra.Get("source"), holds, c.deny.Get("source"))
		}
	}
}

// What an if answers must not be denied before, and nothing else must get in for it.
func TestExclude(t *testing.T) {
	base := table("path", "/a")
	for _, c := range []struct {
		other, want *Table
		holds       bool
	}{
		{table("path", "/a", "methods", []string{"OPTIONS"}, "respond", 1), table("path", "/a", "not_methods", []string{"OPTIONS"}), true},
		{table("path", "/a", "not_methods", []string{"GET"}), table("path", "/a", "methods", []string{"GET"}), true},
		{table("path_exact", "/a/b", "path", "/a"), table("path", "/a", "not_path_exact", []string{"/a/b"}), true},
		{table("path", "/a", "methods", []string{"PUT"}, "host", []string{"a"}), base, false},
		{table("path", "/a", "not_source", []string{"10.0.0.1"}), base, false},
	} {
		deny := base.Clone()
		if holds := deny.Exclude(c.other, base); holds != c.holds || !deny.Equal(c.want) {
			t.Errorf("%v: %t, %v", c.other.Get("methods"), holds, deny.Get("not_methods"))
		}
	}
}
