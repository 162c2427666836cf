package conf

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// environmentVariable is a place in a file that the environment fills in.
var environmentVariable = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(:?[-=?+][^}]*)?\}`)

// variableName is a name as shells have it.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand returns a value with the variables of the environment in its strings, and in
// those of its elements, in place of "${NAME}" and "${NAME:-default}". "$${" is a plain
// "${". It reports a variable that is not set, and "${" that begins neither.
//
// A string that is one variable and nothing else is a fromVariable.
func expand(raw any, fail failure) any {
	switch v := raw.(type) {
	case string:
		return expandString(v, func(reason string) { fail("", reason) })
	case []any:
		all := make([]any, len(v))
		for i, one := range v {
			all[i] = plain(expand(one, within(element("", i), fail)))
		}
		return all
	case []map[string]any:
		all := make([]map[string]any, len(v))
		for i, one := range v {
			all[i] = expandTable(one, within(element("", i), fail))
		}
		return all
	case map[string]any:
		return expandTable(v, fail)
	}
	return raw
}

func expandTable(table map[string]any, fail failure) map[string]any {
	all := make(map[string]any, len(table))
	for key, one := range table {
		all[key] = plain(expand(one, within("."+join("", key), fail)))
	}
	return all
}

// within reports mistakes at places within the one at place.
func within(place string, fail failure) failure {
	return func(inner, reason string) { fail(place+inner, reason) }
}

// expandString is expand for a string.
func expandString(text string, fail func(reason string)) any {
	var to strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "${")
		if !found {
			to.WriteString(rest)
			break
		}
		if strings.HasSuffix(before, "$") {
			to.WriteString(before[:len(before)-1] + "${")
			rest = after
			continue
		}
		inner, behind, closed := strings.Cut(after, "}")
		value, err := variable(inner, closed)
		if err != nil {
			fail(err.Error())
			return text
		}
		if before == "" && behind == "" && len(rest) == len(text) {
			return variableValue(value)
		}
		to.WriteString(before + value)
		rest = behind
	}
	return to.String()
}

// variable returns the value of what stands between "${" and "}".
func variable(inner string, closed bool) (string, error) {
	name, preset, hasPreset := strings.Cut(inner, ":-")
	if !closed || !variableName.MatchString(name) {
		return "", fmt.Errorf("has %s, which is no environment variable: write ${NAME} or ${NAME:-default}, and $${ for ${ itself", quoted("${"+inner))
	}
	switch value, set := os.LookupEnv(name); {
	case hasPreset && value == "":
		return preset, nil
	case !set:
		return "", fmt.Errorf("has ${%s}, and the environment has no %s: set it where mcplb is started, or write ${%s:-default}", name, name, name)
	default:
		return value, nil
	}
}

// fromVariable is the value of a string that was one variable and nothing else. It may
// stand for a number, true or false: TOML has no other way to write that.
type fromVariable string

// variableValue keeps a value a string unless it can be read as something else, too.
func variableValue(text string) any {
	if _, isLiteral := literal(text); isLiteral {
		return fromVariable(text)
	}
	return text
}

// plain returns a value within another one, which is a string in any case.
func plain(raw any) any {
	if text, ok := raw.(fromVariable); ok {
		return string(text)
	}
	return raw
}

// readVariable reads a value as a string or, if the key takes none, as a literal.
func readVariable[V any](t valueType[V], text fromVariable, fail failure) V {
	var mistakes [][2]string
	v := t.read(string(text), func(place, reason string) { mistakes = append(mistakes, [2]string{place, reason}) })
	if len(mistakes) == 0 {
		return v
	}
	sound := true
	number, _ := literal(string(text))
	if v = t.read(number, func(string, string) { sound = false }); !sound {
		for _, mistake := range mistakes {
			fail(mistake[0], mistake[1])
		}
	}
	return v
}

// literal reads a number, true or false as TOML writes it.
func literal(text string) (any, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return f, true
	}
	if text == "true" || text == "false" {
		return text == "true", true
	}
	return nil, false
}
