package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"mcplb/cmd/internal/cli"
	"mcplb/conf"

	"github.com/spf13/cobra"
)

const (
	observation = time.Second // over which messages are counted and latencies taken
	pings       = 50          // in that time
	patience    = 5 * observation
)

var errNoAnswer = fmt.Errorf("it has not answered within %v", patience)

// clusterStatus is what "mcpcluster status" shows. -json prints it unchanged: names
// and meanings stay, fields may be added.
type clusterStatus struct {
	Health   string         `json:"health"` // healthy from 80% of the nodes up, degraded from 50%, else critical
	NodesUp  int            `json:"nodes_up"`
	Nodes    int            `json:"nodes"`
	Balancer bool           `json:"balancer_up"`
	Clients  int64          `json:"connections"`         // of clients
	Messages float64        `json:"messages_per_second"` // of clients, in the last second, without the pings of this command
	Latency  *latency       `json:"latency_ms"`          // of MCP pings through the balancer, in the last second; null = no frontend for plain lines
	Members  []memberReport `json:"members"`
}

// latency are quantiles in milliseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

type memberReport struct {
	memberState
	Up          bool   `json:"up"`                     // it answers correctly
	Problem     string `json:"problem,omitempty"`      // why it is not up
	Connections int64  `json:"connections"`            // that the balancer has to a node
	Server      string `json:"server_state,omitempty"` // of a node, as the balancer sees it
}

func statusCommand(in invocation) *cobra.Command {
	c := &cobra.Command{
		Use: "status [flags]", Short: "Show whether the cluster is healthy, and its figures",
		Long: `Show whether the cluster is healthy, and its figures. The exit status is 0 unless
the cluster is critical or does not run.`,
		Example: "  mcpcluster status\n  mcpcluster status -json",
	}
	state := stateFlag(c)
	asJSON := c.Flags().Bool("json", false, "print everything as JSON")
	c.RunE = func(*cobra.Command, []string) error { return showStatus(in, *state, *asJSON) }
	return c
}

// showStatus observes the cluster and prints the result. A critical cluster is an
// exit status.
func showStatus(in invocation, state string, asJSON bool) error {
	answer, err := ask(in.running, state, request{Op: opStatus})
	if err != nil {
		return err
	}
	configs, err := loadAll(answer.Config, answer.Balancers)
	if err != nil {
		return fmt.Errorf("read the cluster's configuration: %w", err)
	}
	status := observe(in.running, configs, planFleet(configs, answer.Config), answer.Members)
	show := status.print
	if asJSON {
		show = status.printJSON
	}
	if err := show(in.stdout); err != nil {
		return fmt.Errorf("print the status: %w", err)
	}
	if status.Health == critical {
		return cli.Status(1)
	}
	return nil
}

// observe uses every member as its clients do, and reads the balancers' figures. configs are
// theirs; pings go through the first one that runs.
func observe(ctx context.Context, configs []*conf.Config, members []member, states []memberState) *clusterStatus {
	s := &clusterStatus{Members: make([]memberReport, len(states))}
	var working sync.WaitGroup
	for i, state := range states {
		s.Members[i].memberState = state
		working.Go(func() { s.Members[i].check(ctx, members) })
	}
	before := allFigures(ctx, configs)
	begin := time.Now()
	var sent int
	pinged := make(chan struct{})
	working.Go(func() {
		defer close(pinged)
		s.Latency, sent = pingThrough(ctx, configs[max(slices.IndexFunc(before, func(f *figures) bool { return f != nil }), 0)])
	})
	<-pinged
	if wait := observation - time.Since(begin); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	s.count(before, allFigures(ctx, configs), sent, time.Since(begin))
	working.Wait()
	s.judge()
	return s
}

// allFigures returns the figures of every balancer; nil = it does not answer.
func allFigures(ctx context.Context, configs []*conf.Config) []*figures {
	all := make([]*figures, len(configs))
	for i, config := range configs {
		all[i], _ = balancerFigures(ctx, config)
	}
	return all
}

// count takes what the balancers counted in some time, in which sent pings went through one.
func (s *clusterStatus) count(before, after []*figures, sent int, took time.Duration) {
	messages := 0.0
	for i, now := range after {
		if now == nil || before[i] == nil {
			continue
		}
		s.Clients += now.Process.Connections.Current
		messages += float64(now.messages() - min(before[i].messages(), now.messages()))
		now.join(s.Members)
	}
	s.Messages = max(0, messages-float64(sent)) / took.Seconds()
}

// check uses the member. A busy one has some time to answer.
func (m *memberReport) check(ctx context.Context, members []member) {
	i := slices.IndexFunc(members, func(other member) bool { return other.name == m.Name })
	if m.State == "ended" || i < 0 {
		m.Problem = "it has ended"
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errNoAnswer)
	defer cancel()
	if err := poll(ctx, members[i].ready); err != nil {
		m.Problem = err.Error()
		return
	}
	m.Up = true
}

// The states of health.
const (
	healthyState = "healthy"
	degraded     = "degraded"
	critical     = "critical"
)

// judge counts the nodes and derives the health.
func (s *clusterStatus) judge() {
	allUp := true // balancers and what they share through
	for _, m := range s.Members {
		switch {
		case m.Role == string(roleBalancer):
			s.Balancer = s.Balancer || m.Up
			allUp = allUp && m.Up
		case m.Role == string(roleRedis):
			allUp = allUp && m.Up
		case m.Up:
			s.NodesUp++
			s.Nodes++
		default:
			s.Nodes++
		}
	}
	if s.Health = healthOf(s.NodesUp, s.Nodes, s.Balancer); s.Health == healthyState && !allUp {
		s.Health = degraded
	}
}

// healthOf is the cluster's health: without its balancer it is critical.
func healthOf(up, nodes int, balancer bool) string {
	switch {
	case !balancer || nodes == 0:
		return critical
	case 100*up >= 80*nodes:
		return healthyState
	case 100*up >= 50*nodes:
		return degraded
	}
	return critical
}

// figures is the part of the balancer's /api/v1/status that the status needs.
type figures struct {
	Process struct {
		Connections struct{ Current int64 }
	}
	Frontends []struct {
		MessagesIn uint64 `json:"messages_in"`
	}
	Backends []struct {
		Servers []struct {
			Addresses   map[string]string
			State       string
			Connections struct{ Current int64 }
		}
	}
}

func balancerFigures(ctx context.Context, config *conf.Config) (*figures, error) {
	if config.Admin.Listen == "" {
		return nil, fmt.Errorf("the balancer has no admin address")
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	response, err := get(ctx, "http://"+reachable(config.Admin.Listen)+"/api/v1/status")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the balancer's status: %s", response.Status)
	}
	var f figures
	if err := json.NewDecoder(response.Body).Decode(&f); err != nil {
		return nil, fmt.Errorf("read the balancer's status: %w", err)
	}
	return &f, nil
}

// messages is the number of messages that clients have sent so far.
func (f *figures) messages() uint64 {
	sum := uint64(0)
	for _, frontend := range f.Frontends {
		sum += frontend.MessagesIn
	}
	return sum
}

// join adds to each node the balancer's figures about it, over all backends.
func (f *figures) join(members []memberReport) {
	for i := range members {
		m := &members[i]
		for _, backend := range f.Backends {
			for _, server := range backend.Servers {
				if m.Role == string(roleNode) && sameAddress(m.Addresses, server.Addresses) {
					m.Connections += server.Connections.Current
					m.Server = cmp.Or(m.Server, server.State)
				}
			}
		}
	}
}

// sameAddress reports whether a member and a server have an address in common.
func sameAddress(member, server map[string]string) bool {
	for label, address := range server {
		if address != "" && member[label] == address {
			return true
		}
	}
	return false
}

// pingThrough measures pings through the first frontend for plain lines, and returns
// how many it sent. The result is nil if there is no such frontend or it does not
// answer.
func pingThrough(ctx context.Context, config *conf.Config) (found *latency, count int) {
	i := slices.IndexFunc(config.Frontends, func(f conf.Frontend) bool { return f.Mode != conf.ModeHTTP && !f.AcceptProxy && f.TLS == nil })
	if i < 0 {
		return nil, 0
	}
	address := reachable(config.Frontends[i].Listen[0])
	var took []float64
	begin := time.Now()
	for time.Since(begin) < observation && ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		sent := time.Now()
		err := ping(attempt, address)
		cancel()
		if err == nil {
			took = append(took, float64(time.Since(sent))/1e6)
		}
		select {
		case <-time.After(observation / pings):
		case <-ctx.Done():
		}
	}
	if len(took) == 0 {
		return nil, 0
	}
	slices.Sort(took)
	at := func(percent int) float64 { return took[(len(took)-1)*percent/100] }
	return &latency{at(50), at(95), at(99)}, len(took)
}

func (s *clusterStatus) printJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(s)
}

func (s *clusterStatus) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s: %d of %d nodes up, %d connections, %.0f messages a second", s.Health, s.NodesUp, s.Nodes, s.Clients, s.Messages)
	if s.Latency != nil {
		fmt.Fprintf(table, ", ping p50 %.2f, p95 %.2f, p99 %.2f ms", s.Latency.P50, s.Latency.P95, s.Latency.P99)
	}
	fmt.Fprintln(table, "\nROLE\tNAME\tPID\tSTATE\tUP FOR\tCONNECTIONS\tPROBLEM")
	for _, m := range s.Members {
		since := "-"
		if m.State != "ended" {
			since = time.Since(m.Started).Round(time.Second).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%d\t%s\n", m.Role, m.Name, m.PID, cmp.Or(m.Server, m.State), since, m.Connections, m.Problem)
	}
	return table.Flush()
}
