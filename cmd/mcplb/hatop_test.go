package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// terminal is hatop in a terminal of tmux.
type terminal struct {
	socket string // of tmux
}

// startHatop runs hatop on a stats socket, in a terminal of 132 columns and 40 lines.
func startHatop(t *testing.T, path string) *terminal {
	t.Helper()
	hatop := look(t, "hatop")
	look(t, "tmux")
	term := &terminal{filepath.Join(shortDirectory(t), "tmux")}
	// Debian's hatop needs Debian's Python, whatever comes first in PATH.
	term.tmux(t, "-f", "/dev/null", "new-session", "-d", "-x", "132", "-y", "40", "PATH=/usr/bin:/bin exec "+hatop+" -i 1 -s "+path+"; sleep 600")
	t.Cleanup(func() { _, _ = term.run("kill-server") }) // this test's own
	return term
}

func (term *terminal) run(args ...string) (string, error) {
	command := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...)
	command.Env = append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8")
	text, err := command.CombinedOutput()
	return string(text), err
}

func (term *terminal) tmux(t *testing.T, args ...string) string {
	t.Helper()
	text, err := term.run(args...)
	if err != nil {
		t.Fatalf("tmux %s: %v: %s", strings.Join(args, " "), err, text)
	}
	return text
}

// press sends keys by their names in tmux.
func (term *terminal) press(t *testing.T, keys ...string) {
	t.Helper()
	term.tmux(t, append([]string{"send-keys"}, keys...)...)
}

// await waits until a line of the screen matches.
func (term *terminal) await(t *testing.T, pattern string) {
	t.Helper()
	line := regexp.MustCompile("(?m)" + pattern)
	eventually(t, func() error {
		screen := term.tmux(t, "capture-pane", "-p")
		if !line.MatchString(screen) {
			return fmt.Errorf("no line matches %q:\n%s", pattern, screen)
		}
		return nil
	})
}

// Operators who know hatop use it with mcplb as with HAProxy: it shows frontends, servers and
// backends, its keys take a server out of service and back, and change its weight, and
// its command line works.
func TestHatop(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it runs other programs: the race detector sees nothing new")
	}
	s := newSetup(t, startEcho(t), startEcho(t))
	path := filepath.Join(shortDirectory(t), "stats")
	s.adminLines = fmt.Sprintf("stats_socket = %q\n", path)
	b := startBalancer(t, s)
	term := startHatop(t, path)
	term.await(t, `mcplb Version: 2\.6\.0-mcplb`)
	term.await(t, `>>> main`)
	term.await(t, `^FRONTEND .*OPEN`)
	term.await(t, `>>> nodes`)
	term.await(t, `^node1 +100 +UP +L4OK`)
	term.await(t, `^node2 +100 +UP +L4OK`)
	term.await(t, `^BACKEND +200 +UP`)
	term.await(t, `Proxies: +2 +Services: +4`)

	term.press(t, "Down", "Down", "Down", "Down")
	term.await(t, `\[#2/#1\]`) // the cursor is on node1
	term.press(t, "F10")
	b.awaitServer(t, "maint", 100)
	term.await(t, `^node1 +.*MAINT`)
	term.press(t, "F9")
	b.awaitServer(t, "ready", 100)
	term.await(t, `^node1 +100 +UP`)
	term.press(t, "F5")
	b.awaitServer(t, "ready", 90)
	term.await(t, `^node1 +90 `)
	term.press(t, "F4")
	b.awaitServer(t, "ready", 100)

	term.press(t, "5") // the command line
	term.await(t, `haproxy command line`)
	term.press(t, "-l", "set server nodes/node1 state drain")
	term.press(t, "Enter")
	b.awaitServer(t, "drain", 100)
	term.press(t, "-l", "show servers state nodes")
	term.press(t, "Enter")
	term.await(t, `2 nodes 1 node1 127\.`)
	term.press(t, "-l", "disable server nodes/node9")
	term.press(t, "Enter")
	term.await(t, `^No such server\.`)
}

// awaitServer waits until the first server has that admin state and weight.
func (b *balancer) awaitServer(t *testing.T, admin string, weight int) {
	t.Helper()
	eventually(t, func() error {
		if s := b.status(t).Backends[0].Servers[0]; string(s.Admin) != admin || s.Weight != weight {
			return fmt.Errorf("%s is in %s with weight %d, not in %s with %d", s.Name, s.Admin, s.Weight, admin, weight)
		}
		return nil
	})
}
