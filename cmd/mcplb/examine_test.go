package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mcplb/internal/endpoint"
)

// The exit status tells a script whether to start the service.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, server string
		status       int
		output       string
	}{
		{"a server that serves", endpoint.Serve(t, endpoint.Echo).Address, 0, `server nodes/node1 .*can be reached`},
		{"a server that refuses", endpoint.Refuse(t), 1, `PROBLEM +server nodes/node1 .*cannot be reached: connection refused\n.*-> start the server`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "lb.toml")
			text := "[frontend.a]\nlisten = '127.0.0.1:0'\nmode = 'tcp'\nbackend = 'nodes'\n[[backend.nodes.server]]\nname = 'node1'\ntcp = '" + test.server + "'\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p := startProcess(t, exec.Command(filepath.Join(binaries, "mcplb"), "doctor", file))
			p.expectExit(t, test.status)
			p.expectLog(t, test.output)
		})
	}
}
