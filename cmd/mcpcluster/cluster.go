package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	startTimeout = 15 * time.Second // for a member to answer
	drainTimeout = 2 * time.Second  // for a member to end after the first SIGTERM
	stopTimeout  = 3 * time.Second  // and after the second
)

var (
	errInterrupted = errors.New("interrupted")
	errNotReady    = fmt.Errorf("it has not answered within %v", startTimeout)
)

// cluster is the life of all members: started in order, each when the one
// before it answers; watched; ended in reverse order.
//
// Its fields belong to the goroutine that calls run.
type cluster struct {
	in      invocation
	members []member
	logs    *logs

	launcher *launcher
	children []*child    // in the order of their start
	ended    chan *child // gets each child once, when it has ended
}

func newCluster(in invocation, members []member, logs *logs) *cluster {
	return &cluster{
		in:      in,
		members: members,
		logs:    logs,
		ended:   make(chan *child, len(members)), // so that no child's goroutine waits
	}
}

// run starts the cluster, waits for the first signal or the balancer's end, and
// ends the cluster. The error is what failed; a signal is none.
func (c *cluster) run() error {
	if err := checkAddresses(c.in.system, c.members); err != nil {
		return err
	}
	c.launcher = newLauncher()
	defer c.launcher.close()
	defer c.stop()
	err := c.start()
	if err == nil {
		err = c.watch()
	}
	if errors.Is(err, errInterrupted) {
		c.report(c.logs.stderr, "mcpcluster: ending; a second Ctrl-C kills what has not ended\n")
		return nil
	}
	return err
}

// start starts the members in order and shows the table.
func (c *cluster) start() error {
	for _, member := range c.members {
		if err := c.startMember(member); err != nil {
			return err
		}
	}
	if err := printTable(c.in.stdout, c.children); err != nil {
		return err
	}
	c.report(c.in.stdout, "Ctrl-C ends the cluster.\n")
	return nil
}

// startMember starts one member and returns when it answers.
func (c *cluster) startMember(member member) error {
	if c.in.running.Err() != nil {
		return errInterrupted
	}
	log, err := c.logs.open(member.name)
	if err != nil {
		return err
	}
	child, err := startChild(c.launcher, c.in.system.start, member, log, func(child *child) { c.ended <- child })
	if err != nil {
		return err
	}
	c.children = append(c.children, child)
	ctx, cancel := context.WithTimeoutCause(c.in.running, startTimeout, errNotReady)
	defer cancel()
	switch err := child.verify(ctx); {
	case err == nil:
		return nil
	case c.in.running.Err() != nil:
		return errInterrupted
	default:
		return fmt.Errorf("%s %s is not ready: %w; %s", member.role, member.name, err, log.last())
	}
}

// watch returns at a signal or when the balancer has ended; a node's end it
// only reports.
func (c *cluster) watch() error {
	for {
		select {
		case <-c.in.running.Done():
			return errInterrupted
		case child := <-c.ended:
			end := fmt.Sprintf("%s %s (pid %d) ended unexpectedly: %s; %s",
				child.member.role, child.member.name, child.pid(), child.outcome(), child.log.last())
			if child.member.role == roleBalancer {
				return errors.New(end)
			}
			c.report(c.logs.stderr, "mcpcluster: %s\nmcpcluster: %d of %d nodes run on\n", end, c.runningNodes(), len(c.members)-1)
		}
	}
}

func (c *cluster) runningNodes() int {
	running := 0
	for _, child := range c.children {
		if child.member.role == roleNode && child.state() != "ended" {
			running++
		}
	}
	return running
}

// stop ends the children in reverse order.
func (c *cluster) stop() {
	for _, child := range slices.Backward(c.children) {
		if child.stop(c.in.waiting, drainTimeout, stopTimeout) {
			c.report(c.logs.stderr, "mcpcluster: %s %s (pid %d) was killed: it had not ended after SIGTERM\n",
				child.member.role, child.member.name, child.pid())
		}
	}
}

// report tells the operator something. Whether he hears it changes nothing.
func (c *cluster) report(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, format, args...)
}
