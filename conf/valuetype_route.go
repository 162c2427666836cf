package conf

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// oneOrMore is a value of a type, or a list of them; an empty list has none.
func oneOrMore[V any](of valueType[V]) valueType[[]V] {
	list := listOf(of, "")
	return valueType[[]V]{
		read: func(raw any, fail failure) []V {
			if several, isList := elements(raw); isList {
				return readElements(of, several, fail)
			}
			return []V{of.read(raw, fail)}
		},
		show:   list.show,
		schema: node{"anyOf": []node{of.schema, list.schema}},
	}
}

// optionalWord is a word, or "" for none.
func optionalWord(of valueType[string]) valueType[string] {
	return valueType[string]{
		read: func(raw any, fail failure) string {
			if raw == "" {
				return ""
			}
			return of.read(raw, fail)
		},
		show:   of.show,
		schema: of.schema,
	}
}

// inherited is a value that stands for that of the frontend or the backend; "" is
// theirs, as if the key were absent.
func inherited[V any](of valueType[V]) valueType[*V] {
	return valueType[*V]{
		read: func(raw any, fail failure) *V {
			if raw == "" {
				return nil
			}
			v := of.read(raw, fail)
			return &v
		},
		show: func(v *V) string {
			if v == nil {
				return `""`
			}
			return of.show(*v)
		},
		schema: node{"anyOf": []node{{"const": ""}, of.schema}},
	}
}

// table is a value that is a table of names, each with a value of one type. make
// returns what holds a name and its value; names that differ only in case are one.
func table[V, E any](want string, of valueType[V], checkName func(name string) error, entry func(name string, v V) E, split func(E) (string, V)) valueType[[]E] {
	return valueType[[]E]{
		read: func(raw any, fail failure) []E {
			values, isTable := raw.(map[string]any)
			if !isTable {
				fail("", mustBe(want, raw).Error())
			}
			var entries []E
			before := map[string]string{}
			for _, name := range slices.SortedFunc(maps.Keys(values), compareNames) {
				place := "." + join("", name)
				if err := checkName(name); err != nil {
					fail(place, err.Error())
					continue
				}
				if other, twice := before[strings.ToLower(name)]; twice {
					fail(place, fmt.Sprintf("is the same header as %s: write it once", other))
				}
				before[strings.ToLower(name)] = name
				inner := func(inside, reason string) { fail(place+inside, reason) }
				entries = append(entries, entry(name, of.read(values[name], inner)))
			}
			return entries
		},
		show: func(entries []E) string {
			shown := make([]string, len(entries))
			for i, e := range entries {
				name, v := split(e)
				shown[i] = join("", name) + " = " + of.show(v)
			}
			if len(shown) == 0 {
				return "{}"
			}
			return "{ " + strings.Join(shown, ", ") + " }"
		},
		schema: node{"type": "object", "additionalProperties": of.schema},
	}
}

// compareNames orders names of headers without regard to case, and those that are
// then equal by their bytes.
func compareNames(a, b string) int {
	if c := strings.Compare(strings.ToLower(a), strings.ToLower(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// headerMatches is the type of headers and not_headers.
var headerMatches = table(`a table of headers, such as { "X-Tenant" = ["a", "b*"] }`, oneOrMore(valuePattern), checkMatchedField,
	func(name string, values []string) HeaderMatch { return HeaderMatch{name, values} },
	func(m HeaderMatch) (string, []string) { return m.Name, m.Values })

// headerValues is the type of headers that a route sets or adds.
var headerValues = table(`a table of headers, such as { "X-Real-IP" = "{client_ip}" }`, template, checkChangeable,
	func(name, value string) HeaderValue { return HeaderValue{name, value} },
	func(h HeaderValue) (string, string) { return h.Name, h.Value })

// prose is a text that may have several lines.
var prose = word("a text", func(s string) (string, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\r\n", r) }) {
		return "", fmt.Errorf("must be a text without control characters but line ends and tabs, not %s", quoted(s))
	}
	return s, nil
})

// fieldValue is the value of a header, without names.
var fieldValue = word(`a header's value, such as "text/plain"`, func(s string) (string, error) {
	if s == "" || hasControls(s) {
		return "", fmt.Errorf("must be a header's value without control characters, not %s", quoted(s))
	}
	return s, nil
})

// redirectTarget is the URL of a redirect, with {names}.
var redirectTarget = word(`a URL, such as "https://{host}{uri}"`, func(s string) (string, error) {
	_, err := SplitTemplate(s)
	switch {
	case err != nil:
		return "", err
	case hasControls(s) || strings.Contains(s, " "):
		return "", fmt.Errorf("must be a URL without spaces and control characters, not %s", quoted(s))
	case strings.HasPrefix(s, "//") || !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "{scheme}://") &&
		!strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://"):
		return "", fmt.Errorf(`must be a URL, such as "https://{host}{uri}" or "/login", not %s`, quoted(s))
	}
	return s, nil
})

// redirectStatus is the status of a redirect.
var redirectStatus = scalar(func(raw any) (int, error) {
	v, _ := raw.(int64)
	if !slices.Contains([]int64{301, 302, 303, 307, 308}, v) {
		return 0, mustBe("301, 302, 303, 307 or 308", raw)
	}
	return int(v), nil
}, strconv.Itoa).in(node{"enum": []int{301, 302, 303, 307, 308}})

// limitKey says whose requests are counted together.
var limitKey = scalar(func(raw any) (LimitKey, error) {
	const want = `"source", "route", "session", "principal" or "header:NAME"`
	s, _ := raw.(string)
	k := LimitKey(s)
	if name, ok := k.Header(); ok {
		if !isToken(name) {
			return "", mustBe(want, raw)
		}
		return k, nil
	}
	words := []string{string(LimitSource), string(LimitRoute), string(LimitSession), string(LimitPrincipal)}
	if !slices.Contains(words, s) {
		return "", fmt.Errorf("%w%s", mustBe(want, raw), didYouMean(s, words))
	}
	return k, nil
}, func(k LimitKey) string { return strconv.Quote(string(k)) }).in(node{"type": "string"})

// requestRate is a number of requests per second.
var requestRate = scalar(func(raw any) (float64, error) {
	const want = "0 (no limit) or a number of requests per second from 0.001 to 1000000, such as 10, or 0.1 for one in ten seconds"
	v, ok := raw.(float64)
	if n, isInteger := raw.(int64); isInteger {
		v, ok = float64(n), true
	}
	if !ok || math.IsNaN(v) || v != 0 && v < 0.001 || v > 1_000_000 {
		return 0, mustBe(want, raw)
	}
	return v, nil
}, func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }).in(node{"type": "number", "minimum": 0, "maximum": 1_000_000})
