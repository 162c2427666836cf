package convert

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Directives without their arguments, or with too few, at every level, are an operator's slip:
// the converter must say so, and not crash.
func TestDirectivesWithoutArguments(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute under the race detector, and has no goroutines")
	}
	for language, folder := range map[Language]string{Nginx: "nginx", HAProxy: "haproxy"} {
		sources, err := filepath.Glob(folder + "/*.go")
		if err != nil || len(sources) == 0 {
			t.Fatalf("no sources of %s: %v", folder, err)
		}
		names := map[string]bool{}
		for _, source := range sources {
			text, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`"([a-z][a-z0-9_-]*( [a-z-]+)?)"`).FindAllStringSubmatch(string(text), -1) {
				names[m[1]] = true
			}
		}
		for name := range names {
			if language == Nginx {
				for _, form := range []string{name + ";", name + " a;", name + " a b;", name + " {}", name + " a {}"} {
					convertText(t, language, "http { "+form+" upstream u { server 10.0.0.1; "+form+" } server { "+form+" location /a/ { "+form+" proxy_pass http://u; } location / { "+form+" } } }", nil)
					convertText(t, language, form+" stream { "+form+" server { listen 1; "+form+" proxy_pass 10.0.0.1:1; } }", nil)
				}
				continue
			}
			for _, line := range []string{name, name + " a", name + " a if", name + " a b"} {
				for _, mode := range []string{"tcp", "http"} {
					convertText(t, language, "global\n "+line+"\ndefaults\n mode "+mode+"\n "+line+"\nfrontend f\n bind :81\n "+line+"\n default_backend b\nbackend b\n "+line+"\n server s 10.0.0.1:1\n", nil)
				}
			}
		}
		if len(names) < 100 {
			t.Errorf("%d names of %s", len(names), folder)
		}
	}
}
