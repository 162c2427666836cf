package conf

import (
	"testing"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// mustParse parses text, which must be valid.
func mustParse(t testing.TB, text string) *Config {
	t.Helper()
	c, d := parse([]File{{"lb.toml", []byte(text)}})
	if _, err := d.result(c); err != nil {
		t.Fatalf("mistakes in a valid file:\n%v", err)
	}
	return c
}
