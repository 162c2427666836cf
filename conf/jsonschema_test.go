package conf

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/jsonschema-go/jsonschema"
)

// compiled is the schema as a validator reads it.
func compiled(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	text, err := JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	schema := new(jsonschema.Schema)
	if err := json.Unmarshal(text, schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// asJSON is a TOML text as a validator sees it.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var tables map[string]any
	if _, err := toml.Decode(text, &tables); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(tables)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(encoded, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// An editor must not mark what mcplb accepts.
func TestSchemaAcceptsValidFiles(t *testing.T) {
	schema := compiled(t)
	files := []string{filepath.Join("..", "packaging", "lb.toml"), filepath.Join("..", "cmd", "mcpcluster", "demo.toml"), filepath.Join("testdata", "lb.toml")}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(asJSON(t, string(text))); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// An editor marks the common mistakes.
func TestSchemaRefuses(t *testing.T) {
	schema := compiled(t)
	for name, text := range map[string]string{
		"an unknown section":          "[gloval]",
		"an unknown key":              "[global]\nmax_conn = 1",
		"a missing key":               "[frontend.a]\nlisten = ':1'\nmode = 'tcp'",
		"an unknown word":             "[global]\nlog_level = 'loud'",
		"a duration without unit":     "[global]\nhard_stop_after = '5'",
		"a duration of 0":             "[backend.a]\ntimeout_connect = '0'",
		"a number in quotes":          "[global]\nmaxconn = '5'",
		"a negative number":           "[global]\nmaxconn = -1",
		"a size with a wrong unit":    "[frontend.a]\nlisten = ':1'\nmode = 'mcp'\nbackend = 'b'\nmax_message = '16mb'",
		"a table instead of an array": "[backend.a.server]\nname = 'x'",
	} {
		if schema.Validate(asJSON(t, text)) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// Each key can be looked up, and nothing is described that is no key.
func TestEveryKeyIsDescribed(t *testing.T) {
	all := map[string]bool{}
	for _, s := range append(allSections, &rootSection) {
		for _, key := range s.keys() {
			name := place(s.title(), key)
			all[name] = true
			if descriptions[name] == "" {
				t.Errorf("%s has no description", name)
			}
		}
	}
	for name := range descriptions {
		if !all[name] {
			t.Errorf("%s is described, but is no key", name)
		}
	}
}
