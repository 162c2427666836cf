package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// setInline sets a name in an inline table of a route, names compared without case.
func setInline(t *lb.Table, key, name string, value any, from *line) {
	old, _ := t.Get(key).(lb.Inline)
	list := slices.DeleteFunc(slices.Clone(old), func(p lb.Pair) bool { return strings.EqualFold(p.Key, name) })
	if value != nil {
		list = append(list, lb.Pair{Key: name, Value: value})
	}
	if len(list) == 0 {
		t.Delete(key)
		return
	}
	t.Set(key, list, from.Directive)
}

func hasInline(t *lb.Table, key, name string) bool {
	list, _ := t.Get(key).(lb.Inline)
	return slices.ContainsFunc(list, func(p lb.Pair) bool { return strings.EqualFold(p.Key, name) })
}

// unremove takes a header off the list of those that are removed, and reports whether
// it was there.
func unremove(t *lb.Table, key, name string) bool {
	list := t.Strings(key)
	rest := slices.DeleteFunc(slices.Clone(list), func(n string) bool { return strings.EqualFold(n, name) })
	if len(rest) == len(list) {
		return false
	}
	if len(rest) == 0 {
		t.Delete(key)
	} else {
		t.Set(key, rest)
	}
	return true
}

// headerEdit is a way to change headers: of a request or of a response.
type headerEdit struct{ set, add, remove string }

var (
	setRequest  = headerEdit{set: "set_request_headers", add: "add_request_headers", remove: "remove_request_headers"}
	addRequest  = headerEdit{add: "add_request_headers", remove: "remove_request_headers"}
	setResponse = headerEdit{set: "set_response_headers", add: "add_response_headers", remove: "remove_response_headers"}
	addResponse = headerEdit{add: "add_response_headers", remove: "remove_response_headers"}
)

func headerAction(e headerEdit) action {
	return func(g *group, l *line, args []string) (step, error) {
		if len(args) < 2 {
			return step{}, errors.New("a header has a name and a value")
		}
		name := args[0]
		return step{edits: &change{e, name, args[1]}, apply: func(t *lb.Table) error {
			value, err := g.format(l, t, args[1])
			if err != nil && e == setRequest && lb.Removable(name) {
				setInline(t, e.set, name, nil, l)
				setInline(t, e.add, name, nil, l)
				t.AddTo(e.remove, nil, name)
				return fmt.Errorf("%w; the client's own does not reach servers", err)
			}
			if err != nil {
				return err
			}
			g.edit(l, t, e, name, value)
			return nil
		}}, nil
	}
}

// edit sets or adds a header of a route.
func (g *group) edit(l *line, t *lb.Table, e headerEdit, name, value string) {
	removed := unremove(t, e.remove, name)
	if own := g.forwarded(name); own != "" && removed && own == value {
		l.Translated() // what mcplb sends by itself
		return
	}
	other := strings.Replace(e.add, "add_", "set_", 1)
	if e.set == "" && !removed {
		value = besideOthers(l, t, []string{other, e.add}, name, value)
	}
	if e.set != "" || removed || hasInline(t, other, name) {
		setInline(t, e.add, name, nil, l)
		setInline(t, other, name, value, l)
	} else {
		setInline(t, e.add, name, value, l)
	}
}

// besideOthers returns the value of a header that is added where one of the keys has it already.
func besideOthers(l *line, t *lb.Table, keys []string, name, value string) string {
	for _, key := range keys {
		list, _ := t.Get(key).(lb.Inline)
		if old, ok := list.Text(name); ok {
			both, note := lb.JoinFields(name, old, value)
			t.Differ(l.Directive, key, "%s", note)
			return both
		}
	}
	return value
}

// forwarded is what mcplb says by itself in a header.
func (g *group) forwarded(name string) string {
	switch strings.ToLower(name) {
	case "x-forwarded-for":
		return "{client_ip}"
	case "x-forwarded-host":
		return "{host}"
	case "x-forwarded-proto":
		if g.tls != nil {
			return "https"
		}
		return "http"
	}
	return ""
}

func removeAction(of string) action {
	return func(_ *group, l *line, args []string) (step, error) {
		if len(args) != 1 {
			return step{}, errors.New("mcplb removes headers by their names")
		}
		return step{edits: &change{headerEdit{remove: "remove_" + of + "_headers"}, args[0], ""}, apply: func(t *lb.Table) error {
			setInline(t, "set_"+of+"_headers", args[0], nil, l)
			setInline(t, "add_"+of+"_headers", args[0], nil, l)
			t.AddTo("remove_"+of+"_headers", l.Directive, args[0])
			return nil
		}}, nil
	}
}
