package conf

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"github.com/BurntSushi/toml"
)

// node is a part of a JSON schema.
type node = map[string]any

// JSONSchema returns the schema of a configuration file, with a description and
// the default of each key. It is of draft 7, which editors read for TOML (taplo,
// Even Better TOML). What Parse accepts, the schema accepts; it does not know
// what depends on several keys, such as the names of backends.
func JSONSchema() ([]byte, error) {
	schema := rootSection.schema()
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["title"] = "mcplb configuration"
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema as JSON: %w", err)
	}
	return append(text, '\n'), nil
}

// schema returns the schema of the section's table.
func (s *section[S]) schema() node {
	properties := node{}
	required := []string{}
	for _, f := range s.fields {
		property := maps.Clone(f.schema())
		if text := f.describe(s.heading); text != "" {
			property["description"] = text
		}
		properties[f.name] = property
		if f.example != "" {
			required = append(required, f.name)
		}
	}
	schema := node{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// withDefault returns a value's schema with its default.
func withDefault(schema node, shown string) node {
	var parsed struct{ V any }
	if _, err := toml.Decode("V = "+inFile(shown), &parsed); err != nil {
		panic(fmt.Sprintf("conf: the default %s is not TOML: %v", shown, err)) // a test calls this for every key
	}
	schema = maps.Clone(schema)
	schema["default"] = parsed.V
	return schema
}

// inFile returns a value as the file would say it: durations and sizes are shown
// without quotes.
func inFile(shown string) string {
	if _, err := toml.Decode("V = "+shown, new(struct{ V any })); err != nil {
		return strconv.Quote(shown)
	}
	return shown
}

// durationSchema is the schema of a duration, which is 0 only where zero is true.
func durationSchema(zero bool) node {
	text := node{"type": "string", "pattern": `^([0-9]*\.?[0-9]+(ns|us|µs|μs|ms|s|m|h)|[0-9]+\.(ns|us|µs|μs|ms|s|m|h))+$`}
	if !zero {
		return text
	}
	return node{"anyOf": []node{text, {"enum": []any{0, "0"}}}}
}

// sizeSchema is the schema of a number of bytes.
var sizeSchema = node{"anyOf": []node{{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+[kKmMgG]?$"}}}
