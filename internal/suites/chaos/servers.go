package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// server is a process of this program that serves.
type server struct {
	name        string
	lines, http string // addresses
	directory   string // has the certificate

	mu      sync.Mutex
	command *exec.Cmd // guarded by mu; nil while it is dead
}

func newServer(n int, directory string) *server {
	return &server{directory: directory, name: fmt.Sprintf("node%d", n), lines: fmt.Sprintf("127.77.1.%d:9001", n), http: fmt.Sprintf("127.77.1.%d:9002", n)}
}

// hostName is the server's name where it is found by DNS.
func (s *server) hostName() string { return s.name + ".chaos.test" }

// start begins the process, if it is dead, and waits until it serves.
func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command != nil {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(program, nodeCommand, s.lines, s.http, s.directory)
	command.Stderr = io.Discard // net/http's complaints about aborted requests
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	s.command = command
	return awaitListener(s.http)
}

// awaitListener waits until an address accepts.
func awaitListener(address string) error {
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond) // there is no event to wait for
	}
}

// kill ends the process at once.
func (s *server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command == nil {
		return
	}
	_ = s.command.Process.Kill()
	_ = s.command.Wait() // it was killed
	s.command = nil
}

// signal stops or continues the process, if it lives.
func (s *server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command != nil {
		_ = s.command.Process.Signal(sig)
	}
}
