package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A script that converts must learn that something is open which was refused, without reading the
// output.
func TestConvertStatus(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]int{
		"http-request deny if { path_beg /x/ }":   exitOK,
		"http-request deny if { path_sub /.git }": exitOpen,
		"http-request lua.x":                      exitIncomplete,
	} {
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		text := "defaults\n mode http\nfrontend f\n bind :81\n " + rule + "\n default_backend a\nbackend a\n server s 10.0.0.1:80\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"convert", file}, {"convert", "-report", file}} {
			status, _, stderr := mcplb(args...)
			if status != want || strings.Contains(stderr, "OPEN: "+file+":5") != (want == exitOpen) {
				t.Errorf("%s: exit status %d, want %d: %s", rule, status, want, stderr)
			}
		}
	}
}
