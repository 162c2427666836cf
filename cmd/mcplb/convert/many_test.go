package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file with many rules that have nothing to do with one another must be converted, and
// what has no room in the result named: without a bound, the cases double with each rule.
func TestManyCases(t *testing.T) {
	var text strings.Builder
	text.WriteString("defaults\n mode http\nfrontend f\n bind 127.0.0.1:80\n")
	for i := range 60 {
		fmt.Fprintf(&text, " http-request set-header X-A%d 1 if { hdr(X-B%d) 1 }\n http-response set-header X-C%d 1 if { src 10.%d.0.0/16 }\n", i, i, i, i)
	}
	text.WriteString(" default_backend b\nbackend b\n server s 127.0.0.1:81\n")
	file := filepath.Join(t.TempDir(), "many.cfg")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if result := convertFile(t, file); !result.Incomplete() {
		t.Error("the result does not say that cases are left out")
	}
}
