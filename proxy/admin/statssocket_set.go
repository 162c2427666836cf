package admin

import (
	"fmt"
	"strconv"
	"strings"
)

// bySocket is the requester in logs and reasons.
const bySocket = "the stats socket"

// answer is an error whose text is the answer to a command.
type answer string

func (a answer) Error() string { return string(a) }

// HAProxy's own words, which scripts look for.
var (
	errNoTarget  = answer("Require 'backend/server'.")
	errNoServer  = answer("No such server.")
	errNoBackend = answer("No such backend.")
)

// findServer finds the server of an argument "backend/server".
func (s *StatsSocket) findServer(args []string) (backend string, found *Server, err error) {
	if len(args) == 0 {
		return "", nil, errNoTarget
	}
	backend, name, ok := strings.Cut(args[0], "/")
	if !ok || backend == "" || name == "" {
		return "", nil, errNoTarget
	}
	now := s.view.snapshot()
	b := find(now.Backends, backend, 0)
	if b == nil {
		return "", nil, errNoBackend
	}
	if found = find(b.Servers, name, 0); found == nil {
		return "", nil, errNoServer
	}
	return backend, found, nil
}

// change applies a change to the server of an argument. Success is silent.
func (s *StatsSocket) change(args []string, change func(*Server) (ServerChange, error)) (string, error) {
	backend, server, err := s.findServer(args)
	if err != nil {
		return "", err
	}
	wanted, err := change(server)
	if err != nil {
		return "", err
	}
	wanted.Reason = "by " + bySocket
	changes, err := s.control.SetServer(backend, server.Name, wanted)
	for _, done := range changes {
		s.log.Info("command", "by", bySocket, "changed", done.What, "of", backend+"/"+server.Name, "old", done.Old, "new", done.New)
	}
	return "", err
}

// setAdmin changes a server's admin state.
func (s *StatsSocket) setAdmin(args []string, state AdminState) (string, error) {
	return s.change(args, func(*Server) (ServerChange, error) { return ServerChange{Admin: &state}, nil })
}

func (s *StatsSocket) disableServer(args []string) (string, error) {
	return s.setAdmin(args, AdminMaint)
}
func (s *StatsSocket) enableServer(args []string) (string, error) {
	return s.setAdmin(args, AdminReady)
}

// setServer is "set server b/s state ready|drain|maint", and the same for weight and
// maxconn.
func (s *StatsSocket) setServer(args []string) (string, error) {
	if len(args) != 3 {
		return "", answer("'set server' takes a server, one of state, weight and maxconn, and a value.")
	}
	target, value := args[:1], args[2]
	switch args[1] {
	case "state":
		state := AdminState(value)
		if state != AdminReady && state != AdminDrain && state != AdminMaint {
			return "", answer("'set server <srv> state' expects 'ready', 'drain' and 'maint'.")
		}
		return s.setAdmin(target, state)
	case "weight":
		return s.setWeight([]string{args[0], value})
	case "maxconn":
		return s.setMaxConn([]string{args[0], value})
	}
	return "", answer(fmt.Sprintf("'set server <srv>' only supports 'state', 'weight' and 'maxconn' here, not '%s'.", args[1]))
}

// setWeight sets a weight, absolute or in percent of the configured one.
func (s *StatsSocket) setWeight(args []string) (string, error) {
	if len(args) != 2 {
		return "", answer("Require <weight> or <weight%>.")
	}
	return s.change(args[:1], func(server *Server) (ServerChange, error) {
		digits, percent := strings.CutSuffix(args[1], "%")
		weight, err := strconv.Atoi(digits)
		if err != nil || weight < 0 {
			return ServerChange{}, answer("Invalid weight.")
		}
		if percent {
			weight = weight * server.InitialWeight / 100
		}
		return ServerChange{Weight: &weight}, nil
	})
}

func (s *StatsSocket) getWeight(args []string) (string, error) {
	_, server, err := s.findServer(args)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d (initial %d)\n", server.Weight, server.InitialWeight), nil
}

func (s *StatsSocket) setMaxConn(args []string) (string, error) {
	if len(args) == 1 {
		return "", answer("Require <maxconn>.")
	}
	if len(args) != 2 {
		return "", answer("Integer value expected.")
	}
	most, err := strconv.Atoi(args[1])
	if err != nil || most < 0 {
		return "", answer("Integer value expected.")
	}
	return s.change(args[:1], func(*Server) (ServerChange, error) { return ServerChange{MaxConn: &most}, nil })
}

func (s *StatsSocket) shutdownSessions(args []string) (string, error) {
	backend, server, err := s.findServer(args)
	if err != nil {
		return "", err
	}
	ctx, cancel := commandContext()
	defer cancel()
	n, err := s.control.Kill(ctx, ConnectionFilter{Backend: backend, Server: server.Name})
	if err == nil {
		s.log.Info("command", "by", bySocket, "ended", n, "backend", backend, "server", server.Name)
	}
	return "", err
}

func (s *StatsSocket) clearPeaks([]string) (string, error) {
	s.control.ClearPeaks()
	s.log.Info("command", "by", bySocket, "cleared", "peaks")
	return "", nil
}

func (s *StatsSocket) clearCounters([]string) (string, error) {
	s.control.ClearPeaks()
	s.view.since.set(s.view.source.Snapshot())
	s.log.Info("command", "by", bySocket, "cleared", "counters")
	return "", nil
}
