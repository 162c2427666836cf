package main

import (
	"testing"

	"mcplb/conf"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// The balancer reads what it is measured with: a mistake would show only when somebody
// measures.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	p := &place{server: "127.0.0.1:1", directory: t.TempDir()}
	if err := p.prepare(); err != nil {
		t.Fatal(err)
	}
	for _, b := range installed("mcplb")[:2] {
		c, err := conf.Parse("lb.toml", []byte(b.config(p)))
		if err != nil {
			t.Fatalf("%s: %v", b.name, err)
		}
		if secure := c.Frontends[1]; secure.TLS == nil || !secure.HTTP2 || (secure.RequestsPerConnection == 0) != (b.name != "mcplb") {
			t.Errorf("%s: %+v", b.name, secure)
		}
	}
}
