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

// A state directory is where one cluster that runs is found by the other
// commands:
//
//	control      the Unix socket that its mcpcluster answers at
//	lb.toml      the configuration, where it is the built-in demonstration
//	lb.pem       that one's certificate, made at the start, and
//	lb.key       its key
//	logs/        a log for each member
//	cluster.log  what mcpcluster itself says, when it was started in the background
const (
	controlName = "control"
	logsName    = "logs"
	ownLogName  = "cluster.log"
	demoName    = "lb.toml"
	certName    = "lb.pem"
	keyName     = "lb.key"
)

// defaultState is the state directory of a user who names none.
func defaultState() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("mcpcluster-%d", os.Getuid()))
}

// The operations of a request.
const (
	opStatus   = "status"   // tell the members
	opStart    = "start"    // start those of the named members that have ended; no names = all
	opStop     = "stop"     // end the named members
	opRestart  = "restart"  // end them and start them again
	opShutdown = "shutdown" // end the cluster
)

// request is what another mcpcluster asks of the one that runs the cluster.
type request struct {
	Op    string
	Names []string
	Kill  bool // end members without asking them
}

// reply is the answer to it.
type reply struct {
	Error   string // "" = done
	PID     int    // of the mcpcluster that answers
	Config  string // the configuration's path
	Bin     string // the binaries' directory
	Members []memberState
}

// memberState is a member as its mcpcluster knows it.
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
	reply   chan reply // gets exactly one
}

// control answers other mcpclusters at the socket in a state directory.
type control struct {
	listener net.Listener
	calls    chan call
	done     chan struct{} // closed when nothing is answered any more
	working  sync.WaitGroup
}

// errTaken says that a state directory has a cluster already.
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
		if err := os.Remove(path); err != nil { // left behind by one that was killed
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

// serve passes one request on and its reply back.
func (c *control) serve(conn net.Conn) {
	var asked request
	if err := json.NewDecoder(conn).Decode(&asked); err != nil {
		return // nobody who could be told
	}
	call := call{asked, make(chan reply, 1)}
	select {
	case c.calls <- call:
		_ = json.NewEncoder(conn).Encode(<-call.reply) // who asked may have gone
	case <-c.done:
	}
}

// close stops answering. To be called once, when no call is under way.
func (c *control) close() {
	c.listener.Close()
	close(c.done)
	c.working.Wait()
}

// errNoCluster says that a state directory has no cluster that runs.
var errNoCluster = errors.New("no cluster runs there: start one (mcpcluster start) or name its directory (-state)")

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
