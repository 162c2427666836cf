package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 20 * time.Second // for a process to listen
	stopTimeout  = 5 * time.Second  // for it to end after SIGTERM
	pollInterval = 50 * time.Millisecond
)

// The kernel kills the processes when the thread that started them ends
// (prctl(2), PR_SET_PDEATHSIG): so all are started on the main thread.
func init() { runtime.LockOSThread() }

// program says how to start a process.
type program struct {
	name string // also names its log
	path string
	args []string
	env  []string // added to this process's own
	addr string   // where it will listen, host:port
}

// process is a started program.
type process struct {
	program program
	command *exec.Cmd
	log     string        // a file
	ended   chan struct{} // closed when it has ended
}

// start starts a program and returns when it listens. Its output goes to a file
// in the directory.
func start(ctx context.Context, program program, directory string) (*process, error) {
	p := &process{
		program: program,
		command: exec.Command(program.path, program.args...),
		log:     filepath.Join(directory, program.name+".log"),
		ended:   make(chan struct{}),
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has a copy
	p.command.Stdout, p.command.Stderr = log, log
	p.command.Env = append(os.Environ(), program.env...)
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program.name, err)
	}
	go p.wait()
	if err := p.awaitListening(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *process) wait() {
	_ = p.command.Wait() // its log shows how it ended
	close(p.ended)
}

func (p *process) awaitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if conn, err := net.Dial("tcp", p.program.addr); err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return p.failure("it ended")
		case <-ctx.Done():
			return p.failure("it does not listen on " + p.program.addr)
		case <-time.After(pollInterval):
		}
	}
}

// failure returns an error with the end of the process's log.
func (p *process) failure(what string) error {
	log, _ := os.ReadFile(p.log) // only adds to the error
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return fmt.Errorf("%s: %s; its last lines:\n%s", p.program.name, what, strings.Join(lines[max(0, len(lines)-5):], "\n"))
}

// stop ends the process.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

// freeAddresses finds ports that are free on all addresses (the TypeScript
// servers listen on all), and that no outgoing connection takes meanwhile: they
// are below the range from which Linux assigns ports.
func freeAddresses(n int) ([]string, error) {
	const lowest, highest, attempts = 20_000, 32_000, 1000
	var addresses []string
	for range attempts {
		port := lowest + rand.IntN(highest-lowest)
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		defer listener.Close()
		if addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", port)); len(addresses) == n {
			return addresses, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports from %d to %d", n, lowest, highest)
}

// output runs a client to its end and returns its output. Its exit status is
// the error.
func output(ctx context.Context, timeout time.Duration, program program, directory string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	command := exec.CommandContext(ctx, program.path, program.args...)
	command.Env = append(os.Environ(), program.env...)
	command.WaitDelay = time.Second
	printed, err := command.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("not finished within %v", timeout)
	}
	log := filepath.Join(directory, program.name+".out")
	return string(printed), errors.Join(err, os.WriteFile(log, printed, 0o644))
}
