package redistest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/internal/endpoint"
)

// Server is a Redis server that a test may end, stop and start again.
type Server struct {
	t         testing.TB
	address   string
	directory string
	args      []string
	process   *exec.Cmd
	output    *bytes.Buffer
}

// Program is the name of the server's program on this machine, "" if there is none: it
// comes with Debian's redis-server, or Valkey.
func Program() string {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Start starts a server with more arguments, and ends it when the test ends. Without the
// program, the test is skipped.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if Program() == "" {
		t.Skip("this machine has no redis-server: apt-get install redis-server")
	}
	address := fmt.Sprintf("127.0.0.1:%d", endpoint.FreePort(t, "127.0.0.1"))
	s := &Server{t: t, address: address, directory: t.TempDir(), args: args}
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

// Start starts the server again, after Stop, without data, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.address)
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.directory, "--maxclients", "100"}, s.args...)
	s.output = &bytes.Buffer{}
	s.process = exec.Command(Program(), args...)
	s.process.Stdout, s.process.Stderr = s.output, s.output
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if answer, err := s.ask("PING"); err == nil && answer != "" && !strings.HasPrefix(answer, "-LOADING") {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("redis does not answer: %s", s.output)
		}
	}
}

// Stop kills the server. Its data is lost.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

// Hang stops the server from answering, until Continue; connections stay open.
func (s *Server) Hang() { _ = s.process.Process.Signal(syscall.SIGSTOP) }

// Continue ends Hang.
func (s *Server) Continue() { _ = s.process.Process.Signal(syscall.SIGCONT) }

// Address is host:port.
func (s *Server) Address() string { return s.address }

// URL is the address for fleet.redis.
func (s *Server) URL() string { return "redis://" + s.address + "/0" }

// Do runs commands, each a line of words, and returns their answers as they come, in the
// protocol's form.
func (s *Server) Do(commands ...string) (answers []string) {
	s.t.Helper()
	for _, command := range commands {
		answer, err := s.ask(strings.Fields(command)...)
		if err != nil {
			s.t.Fatalf("%s: %v", command, err)
		}
		answers = append(answers, answer)
	}
	return answers
}

// ask runs one command.
func (s *Server) ask(words ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.address, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	var text strings.Builder
	for _, command := range [][]string{words, {"QUIT"}} {
		fmt.Fprintf(&text, "*%d\r\n", len(command))
		for _, word := range command {
			fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	if _, err := conn.Write([]byte(text.String())); err != nil {
		return "", err
	}
	var answer bytes.Buffer
	_, err = answer.ReadFrom(conn)
	return strings.TrimSuffix(answer.String(), "+OK\r\n"), err
}

// Keys returns the names of all keys.
func (s *Server) Keys() (keys []string) {
	for _, line := range strings.Split(s.Do("KEYS *")[0], "\r\n") {
		if line != "" && line[0] != '*' && line[0] != '$' {
			keys = append(keys, line)
		}
	}
	return keys
}

// File writes a file into the server's directory and returns its path.
func (s *Server) File(name, text string) string {
	path := filepath.Join(s.directory, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}
