package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"mcplb/internal/certificate"
)

// scene is the balancer with its servers, clients and operator.
type scene struct {
	directory string
	report    *report
	balancer  *balancer
	servers   []*server // that are disturbed
	steady    *server
	names     *nameServer
	clients   int
	cancel    context.CancelFunc

	descriptors, goroutines int // of the balancer at rest
}

// start starts the servers and the balancer.
func start(ctx context.Context, directory string, o options, r *report) (*scene, error) {
	s := &scene{directory: directory, report: r, clients: o.clients, steady: newServer(9, directory)}
	for n := range 4 {
		s.servers = append(s.servers, newServer(n+1, directory))
	}
	if err := s.prepare(); err != nil {
		s.stop()
		return s, err
	}
	if err := write(filepath.Join(directory, "lb.toml"), s.calm().text(directory, s.steady)); err != nil {
		s.stop()
		return s, err
	}
	var err error
	if s.balancer, err = startBalancer(ctx, directory, o.mcplb); err != nil {
		s.stop()
	}
	return s, err
}

// prepare starts the servers, and what they and the balancer need.
func (s *scene) prepare() (err error) {
	all := append(s.servers[:len(s.servers):len(s.servers)], s.steady)
	hosts := []string{host}
	for _, server := range all {
		hosts = append(hosts, server.hostName())
	}
	if err := certificate.WriteSelfSigned(s.directory, hosts...); err != nil {
		return err
	}
	text, err := os.ReadFile(s.file("cert.pem"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file("ca.pem"), text, 0o600); err != nil {
		return err
	}
	if s.names, err = startNameServer(all); err != nil {
		return err
	}
	for _, server := range all {
		if err := server.start(); err != nil {
			return err
		}
	}
	return nil
}

// file is the path of a file in the directory of the run.
func (s *scene) file(name string) string { return filepath.Join(s.directory, name) }

// calm are settings under which every client is served.
func (s *scene) calm() settings {
	return settings{servers: s.servers, weights: []int{100, 100, 100, 100}, balance: "source", onDown: "close"}
}

func (s *scene) stop() {
	if s.balancer != nil {
		s.balancer.kill()
	}
	for _, server := range append(s.servers, s.steady) {
		server.kill()
	}
}

func (s *scene) end() { s.cancel() }

// disturbedSource is the address of a client that aborts at random.
func (s *scene) disturbedSource(n int) string { return fmt.Sprintf("127.77.2.%d", n%250+1) }

// perform has all clients served once, disturbs them, and checks what is left.
func (s *scene) perform(ctx context.Context, o options) error {
	if err := s.rest(ctx); err != nil {
		return err
	}
	if err := s.everyKindIsServed(ctx, "before"); err != nil {
		return err
	}
	if err := s.disturb(ctx, o); err != nil {
		return err
	}
	log.Print("the disturbance is over; checking what is left")
	if o.length >= enough {
		s.report.checkTried(everything())
	}
	if err := s.restore(ctx); err != nil {
		return err
	}
	if err := s.everyKindIsServed(ctx, "afterwards"); err != nil {
		return err
	}
	s.checkLeftovers(ctx)
	s.checkLogs()
	return nil
}

// enough is a length of the disturbance in which everything is tried.
const enough = 5 * time.Minute

// everything names what a run tries.
func everything() (names []string) {
	for _, k := range kinds {
		names = append(names, "disturbed: "+k.name, "steady: "+k.name)
	}
	for _, a := range actions {
		names = append(names, "operator: "+a.name)
	}
	return names
}

// rest records what the balancer has open without clients.
func (s *scene) rest(ctx context.Context) (err error) {
	s.descriptors = s.balancer.descriptors()
	s.goroutines, err = s.balancer.goroutines(ctx)
	return err
}

// disturb runs clients and the operator for o.length.
func (s *scene) disturb(ctx context.Context, o options) error {
	disturbed, cancel := context.WithTimeout(ctx, o.length)
	defer cancel()
	s.cancel = cancel
	var working sync.WaitGroup
	for n := range o.clients {
		working.Go(func() { newClient(s, n, false).work(disturbed) })
	}
	for n := range o.steady {
		working.Go(func() { newClient(s, n, true).work(disturbed) })
	}
	working.Go(func() { (&operator{s, s.report.random(-1)}).work(disturbed) })
	ticker := time.NewTicker(30 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-disturbed.Done():
			working.Wait()
			return ctx.Err()
		case <-ticker.C:
			log.Printf("pid %d, %d MB, upgrades %d, findings %d", s.balancer.serving(), s.balancer.memory()>>20, len(s.balancer.pids)-1, s.report.count())
		}
	}
}

// restore brings back all servers and the first configuration.
func (s *scene) restore(ctx context.Context) error {
	for _, server := range s.servers {
		if err := server.start(); err != nil {
			return err
		}
	}
	o := &operator{s, s.report.random(-2)}
	if err := o.install(s.calm()); err != nil {
		return err
	}
	if err := o.reloadNow(ctx, true); err != nil {
		return err
	}
	for _, kind := range backendKinds {
		for _, server := range s.servers {
			change := map[string]any{"admin": "ready", "weight": 100, "maxconn": 0}
			if _, err := s.balancer.call(ctx, "PATCH", "/api/v1/backends/nodes"+kind.suffix+"/servers/"+server.name, change); err != nil {
				return err
			}
		}
	}
	up := func() bool {
		now, err := s.balancer.status(ctx)
		return err == nil && now.allUp()
	}
	if err := s.balancer.await(ctx, 30*time.Second, up); err != nil {
		return errors.New("not all servers come back")
	}
	pause(ctx, 4*time.Second) // the longest ban
	return nil
}

func (s *status) allUp() bool {
	for _, backend := range s.Backends {
		for _, server := range backend.Servers {
			if server.State != "up" {
				return false
			}
		}
	}
	return true
}

// everyKindIsServed runs each kind of client once, undisturbed, on all servers.
func (s *scene) everyKindIsServed(ctx context.Context, when string) error {
	for i, k := range kinds {
		for _, steady := range []bool{false, true} {
			c := newClient(s, 1000+i, steady)
			c.calm = true
			if err := c.once(ctx, k); err != nil {
				s.report.finding("%s, %s is not served: %v", when, k.name, err)
			}
		}
	}
	return ctx.Err()
}

// checkLeftovers waits until nothing is left of the clients.
func (s *scene) checkLeftovers(ctx context.Context) {
	idle := func() bool {
		now, err := s.balancer.status(ctx)
		return err == nil && now.busy() == ""
	}
	if s.balancer.await(ctx, 30*time.Second, idle) != nil {
		now, err := s.balancer.status(ctx)
		if err != nil {
			s.report.finding("the status is not to be had: %v", err)
			return
		}
		s.report.finding("there are no clients, but the status counts %s", now.busy())
	}
	// Idle connections to servers may stay: the pool of each loop for each server.
	idleUpstream := 2 * len(append(s.servers, s.steady)) * 2 * 2 // with TLS and without
	few := func() bool { return s.balancer.descriptors() <= s.descriptors+idleUpstream }
	if s.balancer.await(ctx, 60*time.Second, few) != nil {
		s.report.finding("%d descriptors are left, %d were open before", s.balancer.descriptors(), s.descriptors)
	}
	s.checkGoroutines(ctx)
	for _, pid := range s.balancer.pids[:len(s.balancer.pids)-1] {
		if s.balancer.await(ctx, 30*time.Second, func() bool { return !alive(pid) }) != nil {
			s.report.finding("the old process %d has not ended", pid)
		}
	}
}

// moreGoroutines allows for what is under way at any moment: checks and this request.
const moreGoroutines = 20

func (s *scene) checkGoroutines(ctx context.Context) {
	var last int
	few := func() bool {
		n, err := s.balancer.goroutines(ctx)
		last = n
		return err == nil && n <= s.goroutines+moreGoroutines
	}
	if s.balancer.await(ctx, 30*time.Second, few) != nil {
		s.report.finding("%d goroutines are left, %d were there before", last, s.goroutines)
	}
}

// busy names what the status still counts, or returns "".
func (s *status) busy() string {
	for _, f := range s.Frontends {
		if f.Connections.Current != 0 {
			return fmt.Sprintf("%d connections of frontend %s", f.Connections.Current, f.Name)
		}
	}
	for _, b := range s.Backends {
		for _, server := range b.Servers {
			if server.Connections.Current != 0 {
				return fmt.Sprintf("%d connections of server %s/%s", server.Connections.Current, b.Name, server.Name)
			}
		}
	}
	if n := s.Process.Connections.Current; n != 0 {
		return fmt.Sprintf("%d connections of the process", n)
	}
	return ""
}

// faults are what must not stand in the log.
var faults = regexp.MustCompile(`(?m)^(panic:|fatal error:|goroutine \d+ .*:|.*DATA RACE|.*level=ERROR msg="(?:panic|bug).*).*$`)

func (s *scene) checkLogs() {
	logged, err := os.ReadFile(s.balancer.logFile())
	if err != nil {
		s.report.finding("%v", err)
		return
	}
	if fault := faults.Find(logged); fault != nil {
		s.report.finding("the log has %q", fault)
	}
	races, err := filepath.Glob(filepath.Join(s.directory, "race.*"))
	if err == nil && len(races) > 0 {
		s.report.finding("data races: %v", races)
	}
}
