package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A state directory is where the other commands find a running cluster:
//
//	control      the Unix socket at which its mcpcluster answers
//	lb.toml      the configuration, if it is the built-in demonstration
//	lb.pem       the demonstration's certificate, made at the start
//	lb.key       the certificate's key
//	logs/        a log for each member
//	cluster.log  the output of mcpcluster itself, if it was started in the background
const (
	controlName = "control"
	logsName    = "logs"
	ownLogName  = "cluster.log"
	demoName    = "lb.toml"
	certName    = "lb.pem"
	keyName     = "lb.key"
)

// defaultState is the user's state directory unless -state names another.
func defaultState() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("mcpcluster-%d", os.Getuid()))
}

// The operations of a request.
const (
	opStatus   = "status"   // describe the members
	opStart    = "start"    // start those of the named members that have ended; no names = all
	opStop     = "stop"     // stop the named members
	opRestart  = "restart"  // stop them and start them again
	opShutdown = "shutdown" // stop the cluster
)

// request is what a command sends to the mcpcluster that runs the cluster.
type request struct {
	Op    string
	Names []string
	Kill  bool // by SIGKILL, without SIGTERM before
}

// reply is the answer to a request.
type reply struct {
	Error     string // "" = done
	PID       int    // of the mcpcluster that answers
	Config    string // the configuration's path
	Demo      bool   // it is the built-in demonstration, whose file goes with the cluster
	Balancers int    // of the demonstration; 0 = one
	Bin       string // the binaries' directory
	Members   []memberState
}

// memberState is the state of a member.
type memberState struct {
	Role      string            `json:"role"`
	Name      string            `json:"name"`
	PID       int               `json:"pid"`   // of the last process
	State     string            `json:"state"` // starting, ready or ended
	Started   time.Time         `json:"started"`
	Addresses map[string]string `json:"addresses"`
}

// call is a request on its way to the cluster's goroutine.
type call struct {
	request request
	reply   chan reply // receives exactly one
}

// control answers commands at the socket in a state directory.
type control struct {
	listener net.Listener
	calls    chan call
	done     chan struct{} // closed when no request is answered any more
	working  sync.WaitGroup
}

// errTaken is the error if another cluster uses the state directory.
var errTaken = errors.New("a cluster runs there already: stop it (mcpcluster stop) or name another directory (-state)")

// openControl makes a state directory and listens in it.
func openControl(directory string) (*control, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	path := filepath.Join(directory, controlName)
	listener, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if conn, dialErr := net.Dial("unix", path); dialErr == nil {
			conn.Close()
			return nil, fmt.Errorf("state directory %s: %w", directory, errTaken)
		}
		if err := os.Remove(path); err != nil { // left behind by a killed mcpcluster
			return nil, fmt.Errorf("remove an old socket: %w", err)
		}
		listener, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	c := &control{listener: listener, calls: make(chan call), done: make(chan struct{})}
	c.working.Go(c.accept)
	return c, nil
}

func (c *control) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.working.Go(func() {
			defer conn.Close()
			c.serve(conn)
		})
	}
}

// serve forwards one request to the cluster and its reply to the command.
func (c *control) serve(conn net.Conn) {
	var r request
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return // there is no one to report it to
	}
	call := call{r, make(chan reply, 1)}
	select {
	case c.calls <- call:
		_ = json.NewEncoder(conn).Encode(<-call.reply) // the command may have ended
	case <-c.done:
	}
}

// close stops answering. It must be called once, while no call is in progress.
func (c *control) close() {
	c.listener.Close()
	close(c.done)
	c.working.Wait()
}

// errNoCluster is the error if no cluster runs with the state directory.
var errNoCluster = errors.New("no cluster runs there: start one (mcpcluster run or start) or name its directory (-state)")

// ask sends a request to the cluster of a state directory.
func ask(ctx context.Context, directory string, asked request) (*reply, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(directory, controlName))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("state directory %s: %w", directory, errNoCluster)
	}
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(asked); err != nil {
		return nil, fmt.Errorf("ask the cluster: %w", err)
	}
	var answer reply
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return nil, fmt.Errorf("the cluster has not answered: %w", err)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return &answer, nil
}
