package documents

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/internal/certificate"
	"mcplb/internal/output"
)

const (
	markRun       = "run"
	markCluster   = "run with a cluster"
	markRepeat    = "repeat with a cluster"
	markNot       = "not run: " // and the reason
	documentLimit = 5 * time.Minute
	repeatLimit   = time.Minute
)

// A reader who types what a document shows sees what it shows.
func TestCommands(t *testing.T) {
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not installed (apt-get install %s): %v", program, err)
		}
	}
	network := reserve(t)
	for i, d := range repository(t) {
		blocks, cluster := d.runnable(t)
		if len(blocks) == 0 {
			continue
		}
		t.Run(d.name(), func(t *testing.T) {
			t.Parallel()
			s := startShell(t, fmt.Sprintf("%s.%d.", network, i))
			if cluster {
				s.startCluster(t)
			}
			for _, b := range blocks {
				for _, c := range b.Commands() {
					s.try(t, d, &c, b.Mark == markRepeat)
				}
			}
		})
	}
}

// reserve returns the first half of addresses that no other run of these tests uses until
// the test ends. The demonstration's limits exempt them.
func reserve(t *testing.T) string {
	t.Helper()
	for i := range 20 {
		network := fmt.Sprintf("127.%d", 100+(os.Getpid()+i)%20)
		if held, err := net.Listen("tcp", network+".255.254:9"); err == nil {
			t.Cleanup(func() { held.Close() })
			return network
		}
	}
	t.Fatal("no addresses are free: do 20 of these tests run at once?")
	return ""
}

// runnable returns the blocks whose commands are run, and whether one of them needs
// a cluster. A block of commands without a mark is an error: nobody would try it.
func (d *Document) runnable(t *testing.T) (blocks []Block, cluster bool) {
	for _, b := range d.Blocks {
		switch {
		case b.Mark == markRun, b.Mark == markCluster, b.Mark == markRepeat:
			blocks, cluster = append(blocks, b), cluster || b.Mark != markRun
		case len(b.Commands()) > 0 && !strings.HasPrefix(b.Mark, markNot):
			t.Errorf("%s:%d: a comment on the line before these commands must say how they are tried (see the package documents), not %q", d.name(), b.Line, b.Mark)
		}
	}
	return blocks, cluster
}

// shell runs the commands of one document, in a directory where bin/ has the programs.
type shell struct {
	directory string
	hosts     string // replaces 127.0.0.: the beginning of addresses that nothing else uses
	environ   []string
	commands  *os.File
	output    *bufio.Reader
}

// loop is the program of the shell. A command is ended by NUL, as is its output, which
// its exit status and a line's end follow.
const loop = `while IFS= read -r -d '' command; do eval "$command" < /dev/null 2>&1; printf '\0%d\n' $?; done`

func startShell(t *testing.T, hosts string) *shell {
	t.Helper()
	directory, err := os.MkdirTemp("", "d") // short: it has a socket, whose path is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	if err := os.Symlink(binaries, filepath.Join(directory, "bin")); err != nil {
		t.Fatal(err)
	}
	s := &shell{directory: directory, hosts: hosts}
	s.environ = append(os.Environ(), "PATH="+binaries+":"+os.Getenv("PATH"), "TMPDIR="+directory, "MCPLB_ADMIN="+hosts+"1:18404", "LC_ALL=C")
	commands := s.command("bash", "--noprofile", "--norc", "-c", loop)
	stdin, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	commands.Stdin, commands.Stdout, commands.Stderr = stdin, stdout, stdout
	if err := commands.Start(); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	stdout.Close()
	s.commands, s.output = input, bufio.NewReader(out)
	t.Cleanup(func() {
		input.Close()
		_ = syscall.Kill(-commands.Process.Pid, syscall.SIGKILL) // it may have ended
		_ = commands.Wait()
		out.Close()
	})
	if err := out.SetReadDeadline(time.Now().Add(documentLimit)); err != nil {
		t.Fatal(err)
	}
	return s
}

// command is a process in the shell's directory and environment.
func (s *shell) command(name string, args ...string) *exec.Cmd {
	command := exec.Command(name, args...)
	command.Dir, command.Env = s.directory, s.environ
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return command
}

// startCluster starts the cluster of make run on the shell's addresses, which is
// stopped when the test ends.
func (s *shell) startCluster(t *testing.T) {
	t.Helper()
	demo, err := os.ReadFile(filepath.Join(root, "cmd", "mcpcluster", "demo.toml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(s.placed(string(demo)), `= ":`, `= "`+s.hosts+`1:1`)
	if err := os.WriteFile(filepath.Join(s.directory, "lb.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	certificate.Write(t, s.directory, "lb", certificate.New(t, nil, certificate.ECDSA(t), certificate.UntilThen(time.Now().AddDate(0, 10, 0)), "localhost", s.hosts+"1"))
	var log output.Output
	cluster := s.command(filepath.Join(binaries, "mcpcluster"), "run", "-v", "-c", "lb.toml")
	cluster.Stdout, cluster.Stderr = &log, &log
	if err := cluster.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cluster.Wait() // the test looks at what it shows
	}()
	t.Cleanup(func() {
		_ = cluster.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-ended:
		case <-time.After(repeatLimit):
			_ = syscall.Kill(-cluster.Process.Pid, syscall.SIGKILL)
			<-ended
			t.Error("the cluster does not stop")
		}
		if t.Failed() {
			t.Logf("the cluster's output:\n%s", &log)
		}
	})
	log.Await(t, "Ctrl-C ends the cluster", ended)
}

var (
	port     = regexp.MustCompile(`\b(127\.0\.0\.\d+[:/])(\d{4})\b`) // in an address, or a path below /dev/tcp
	loopback = regexp.MustCompile(`\b127\.0\.0\.([1-9])`)            // not the network, 127.0.0.0/8
	moved    = regexp.MustCompile(`\b(127\.0\.0\.\d+[:/])1(\d{4})\b`)
)

// placed is a text of a document, with the shell's addresses and ports that make run does not
// use: it may be running. shown is the reverse.
func (s *shell) placed(text string) string {
	return loopback.ReplaceAllString(port.ReplaceAllString(text, "${1}1$2"), s.hosts+"$1")
}

func (s *shell) shown(text string) string {
	return moved.ReplaceAllString(strings.ReplaceAll(text, s.hosts, "127.0.0."), "$1$2")
}

// try runs a command and compares its output, if repeat is set until it is right.
func (s *shell) try(t *testing.T, d *Document, c *Command, repeat bool) {
	t.Helper()
	for deadline := time.Now().Add(repeatLimit); ; time.Sleep(100 * time.Millisecond) {
		got, status := s.run(t, d, c)
		if (status == 0 || c.Output != "") && Matches(c.Output, got) {
			return
		}
		if !repeat || time.Now().After(deadline) {
			t.Errorf("%s:%d: $ %s\nexit status %d, output:\n%swant:\n%s", d.name(), c.Line, c.Text, status, got, c.Output)
			return
		}
	}
}

// run runs a command and returns its output and exit status.
func (s *shell) run(t *testing.T, d *Document, c *Command) (text string, status int) {
	t.Helper()
	if _, err := s.commands.WriteString(s.placed(c.Text) + "\x00"); err != nil {
		t.Fatalf("%s:%d: the shell has ended: %v", d.name(), c.Line, err)
	}
	got, err := s.output.ReadString(0)
	if err != nil {
		t.Fatalf("%s:%d: $ %s\ndoes not end: %v\n%s", d.name(), c.Line, c.Text, err, got)
	}
	ending, err := s.output.ReadString('\n')
	if err != nil {
		t.Fatalf("%s:%d: the shell has ended: %v", d.name(), c.Line, err)
	}
	if status, err = strconv.Atoi(strings.TrimSuffix(ending, "\n")); err != nil {
		t.Fatal(err)
	}
	return s.shown(strings.TrimSuffix(got, "\x00")), status
}
