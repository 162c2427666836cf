package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"mcplb/conf"
)

const (
	startTimeout = time.Minute     // for a member to answer
	drainTimeout = 2 * time.Second // for a member to end after the first SIGTERM
	stopTimeout  = 3 * time.Second // and after the second
)

var (
	errInterrupted = errors.New("interrupted")
	errNotReady    = fmt.Errorf("it has not answered within %v", startTimeout)
)

// cluster runs all members: it starts the nodes at once and the balancer when they
// answer, watches them, and stops them in reverse order. In between, it stops and
// starts single members on request.
//
// Its fields belong to the goroutine that calls run.
type cluster struct {
	in      invocation
	members []member
	logs    *logs
	calls   <-chan call // requests; nil = none are accepted
	about   reply       // the fields that every reply has

	launcher *launcher
	children []*child    // the last process of each member, in the order of the members
	ended    chan *child // receives each child once, when it has ended
}

func newCluster(in invocation, members []member, logs *logs) *cluster {
	return &cluster{
		in:      in,
		members: members,
		logs:    logs,
		// No child's goroutine ever blocks: between two receives each member's
		// process may end, be replaced, and end again.
		ended: make(chan *child, 2*len(members)),
	}
}

// run starts the cluster, waits for the first signal or the balancer's end, and
// stops the cluster. A signal is no error.
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
		c.report(c.logs.stderr, "mcpcluster: stopping; a second Ctrl-C kills what has not ended\n")
		return nil
	}
	return err
}

// start starts the nodes at once, then the balancer, and shows the table.
func (c *cluster) start() error {
	nodes := slices.IndexFunc(c.members, func(m member) bool { return m.role == roleBalancer })
	for _, part := range [][2]int{{0, nodes}, {nodes, len(c.members)}} {
		for i := part[0]; i < part[1]; i++ {
			if err := c.launch(i); err != nil {
				return err
			}
		}
		for i := part[0]; i < part[1]; i++ {
			if err := c.await(i); err != nil {
				return err
			}
		}
	}
	if err := printTable(c.in.stdout, c.children); err != nil {
		c.report(c.logs.stderr, "mcpcluster: the table is not complete: %v\n", err) // no reason to end the cluster
	}
	c.report(c.in.stdout, "Ctrl-C ends the cluster.\n")
	return nil
}

// startMember starts member i and returns when it answers.
func (c *cluster) startMember(i int) error {
	if err := c.launch(i); err != nil {
		return err
	}
	return c.await(i)
}

// launch starts the process of member i.
func (c *cluster) launch(i int) error {
	if c.in.running.Err() != nil {
		return errInterrupted
	}
	member := c.members[i]
	log, err := c.logs.open(member.name)
	if err != nil {
		return err
	}
	child, err := startChild(c.launcher, c.in.system, member, log, watcher{
		ended: func(child *child) { c.ended <- child },
		upgraded: func(child *child, before, now int) {
			c.report(c.logs.stderr, "mcpcluster: %s %s has been upgraded: pid %d -> %d\n", child.member.role, child.member.name, before, now)
		},
	})
	if err != nil {
		return err
	}
	if i < len(c.children) {
		c.children[i] = child
	} else {
		c.children = append(c.children, child)
	}
	return nil
}

// await returns when member i, which has been launched, answers.
func (c *cluster) await(i int) error {
	child := c.children[i]
	ctx, cancel := context.WithTimeoutCause(c.in.running, startTimeout, errNotReady)
	defer cancel()
	switch err := child.verify(ctx); {
	case err == nil:
		return nil
	case c.in.running.Err() != nil:
		return errInterrupted
	default:
		return fmt.Errorf("%s %s is not ready: %w; %s", child.member.role, child.member.name, err, child.log.last())
	}
}

// watch returns at a signal, at a request to shut down, or when the last balancer has
// ended by itself. The end of another member is only reported.
func (c *cluster) watch() error {
	for {
		select {
		case <-c.in.running.Done():
			return errInterrupted
		case child := <-c.ended:
			if err := c.lost(child); err != nil {
				return err
			}
		case call := <-c.calls:
			if err := c.reportEnded(); err != nil {
				call.reply <- reply{Error: err.Error()}
				return err
			}
			call.reply <- c.perform(call.request)
			if call.request.Op == opShutdown {
				return errInterrupted
			}
		}
	}
}

// lost reports a child that has ended. If it is the last balancer, and its end was not
// requested, that is the error.
func (c *cluster) lost(child *child) error {
	if child.requested {
		return nil
	}
	end := fmt.Sprintf("%s %s (pid %d) ended unexpectedly: %s; %s",
		child.member.role, child.member.name, child.pid(), child.outcome(), child.log.last())
	if child.member.role == roleBalancer && c.running(roleBalancer) == 0 {
		return errors.New(end)
	}
	c.report(c.logs.stderr, "mcpcluster: %s\nmcpcluster: %d of %d %ss still run\n", end, c.running(child.member.role), c.count(child.member.role), child.member.role)
	return nil
}

// reportEnded reports the children that have ended by now and empties ended, which
// then has space for those that end while a request is performed.
func (c *cluster) reportEnded() error {
	for {
		select {
		case child := <-c.ended:
			if err := c.lost(child); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// perform performs a request.
func (c *cluster) perform(asked request) reply {
	answer := c.about
	chosen, err := c.choose(asked.Names)
	for _, i := range chosen {
		if err != nil {
			break
		}
		if asked.Op == opStop || asked.Op == opRestart {
			c.stopMember(i, asked.Kill)
		}
		if asked.Op == opRestart || asked.Op == opStart && c.children[i].state() == "ended" {
			err = c.startMember(i)
		}
	}
	if err != nil {
		answer.Error = err.Error()
	}
	for _, child := range c.children {
		answer.Members = append(answer.Members, child.describe())
	}
	return answer
}

// choose returns the indices of the named members; no names mean all.
func (c *cluster) choose(names []string) ([]int, error) {
	var chosen []int
	for i, member := range c.members {
		if len(names) == 0 || slices.Contains(names, member.name) {
			chosen = append(chosen, i)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(c.members, func(m member) bool { return m.name == name }) {
			return nil, fmt.Errorf("the cluster has no member %q; mcpcluster status shows them%s", name, conf.DidYouMean(name, c.names()))
		}
	}
	return chosen, nil
}

// names are the names of the members.
func (c *cluster) names() (names []string) {
	for _, member := range c.members {
		names = append(names, member.name)
	}
	return names
}

// stopMember stops a member on request.
func (c *cluster) stopMember(i int, kill bool) {
	child := c.children[i]
	child.requested = true
	if kill {
		child.signal(syscall.SIGKILL)
	}
	c.end(child)
}

// count is the number of members of a role.
func (c *cluster) count(r role) (n int) {
	for _, m := range c.members {
		if m.role == r {
			n++
		}
	}
	return n
}

// running is the number of members of a role that run.
func (c *cluster) running(r role) int {
	running := 0
	for _, child := range c.children {
		if child.member.role == r && child.state() != "ended" {
			running++
		}
	}
	return running
}

// stop stops the children in reverse order.
func (c *cluster) stop() {
	for _, child := range slices.Backward(c.children) {
		c.end(child)
	}
}

// end stops a child and reports if it had to be killed.
func (c *cluster) end(child *child) {
	if child.stop(c.in.waiting, drainTimeout, stopTimeout) {
		c.report(c.logs.stderr, "mcpcluster: %s %s (pid %d) was killed: it had not ended after SIGTERM\n",
			child.member.role, child.member.name, child.pid())
	}
}

// report prints a message for the operator. An error in printing changes nothing.
func (c *cluster) report(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, format, args...)
}
