package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// tourPatience is how long the tour may take on a busy machine; it takes some 15 s.
const tourPatience = 5 * time.Minute

// A newcomer who walks the tour sees what the README claims: the script fails if any
// step does not show it. This is make tour, on addresses and in directories that
// nothing else uses.
func TestTour(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short")
	}
	t.Parallel()
	for _, program := range []string{"bash", "curl", "openssl"} {
		look(t, program)
	}
	script, err := filepath.Abs(filepath.Join("..", "..", "docs", "tour.sh"))
	if err != nil {
		t.Fatal(err)
	}
	directory, state := t.TempDir(), shortDirectory(t)
	if err := os.Symlink(binaries, filepath.Join(directory, "bin")); err != nil {
		t.Fatal(err)
	}
	host := lastHost.Add(256) // a net of its own
	environment := append(os.Environ(), "TMPDIR="+state, "TOUR_DIR="+directory, fmt.Sprintf("TOUR_NET=127.%d.%d", 20+os.Getpid()%80, host>>8&0xff))
	t.Cleanup(func() { // if the script was killed
		stop := exec.Command(filepath.Join(binaries, "mcpcluster"), "stop")
		stop.Env = environment
		_ = stop.Run() // as a rule it has ended
	})
	command := exec.Command(look(t, "bash"), script)
	command.Env = environment
	p := startProcess(t, command)
	select {
	case <-p.ended:
	case <-time.After(tourPatience):
		t.Fatal("the tour does not end")
	}
	p.expectExit(t, 0)
	p.expectLog(t, `The tour ends well`)
}
