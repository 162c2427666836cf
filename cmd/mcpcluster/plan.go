package main

import (
	"context"
	"errors"
	"fmt"

	"mcplb/conf"
)

// member is one process of the cluster: how it is started and verified.
type member struct {
	role      role
	name      string // unique in the cluster
	binary    string // the executable's file name
	path      string // the executable, filled in by locate
	args      []string
	addresses []endpoint // where it listens

	// ready makes one attempt to use the member as its clients do. nil error:
	// it serves.
	ready func(context.Context) error
}

type role string

const (
	roleNode     role = "node"
	roleBalancer role = "balancer"
)

// endpoint is one address that a member listens on, and what for.
type endpoint struct {
	label   string
	address string // host:port; an empty host means every address
}

// plan lists the processes that a configuration needs, in the order in which
// they are started: the nodes, then the balancer. path is where the balancer
// reads the configuration.
func plan(config *conf.Config, path string) ([]member, error) {
	var members []member
	var problems []error
	names := map[string]bool{}   // taken
	started := map[string]bool{} // addresses of servers already in the plan
	for _, backend := range config.Backends {
		for _, server := range backend.Servers {
			switch {
			case server.TCP == "":
				problems = append(problems, fmt.Errorf("server %q of backend %q has no tcp address: mcpcluster can start nodes on tcp addresses only", server.Name, backend.Name))
				continue
			case started[server.TCP]: // the same server in another backend
				continue
			}
			started[server.TCP] = true
			name := server.Name
			if names[name] {
				name = backend.Name + "." + name
			}
			names[name] = true
			members = append(members, node(name, server.TCP))
		}
	}
	return append(members, balancer(config, path)), errors.Join(problems...)
}

func node(name, address string) member {
	return member{
		role:      roleNode,
		name:      name,
		binary:    "mcpnode",
		args:      []string{"-name", name, "-tcp", address},
		addresses: []endpoint{{"tcp", address}},
		ready:     func(ctx context.Context) error { return ping(ctx, address) },
	}
}

func balancer(config *conf.Config, path string) member {
	balancer := member{
		role:   roleBalancer,
		name:   "mcplb",
		binary: "mcplb",
		args:   []string{"-c", path},
		ready:  balancerReady(config),
	}
	for _, frontend := range config.Frontends {
		for _, address := range frontend.Listen {
			balancer.addresses = append(balancer.addresses, endpoint{frontend.Name, address})
		}
	}
	if config.Admin.Listen != "" {
		balancer.addresses = append(balancer.addresses, endpoint{"admin", config.Admin.Listen})
	}
	if config.Admin.HealthListen != "" {
		balancer.addresses = append(balancer.addresses, endpoint{"health", config.Admin.HealthListen})
	}
	return balancer
}

// balancerReady chooses how the balancer is verified: by its health endpoint;
// without one by an MCP ping through a frontend that carries bare lines;
// without that by a connection to a frontend.
func balancerReady(config *conf.Config) func(context.Context) error {
	if address := config.Admin.HealthListen; address != "" {
		return func(ctx context.Context) error { return healthy(ctx, reachable(address)) }
	}
	for _, frontend := range config.Frontends {
		if frontend.Mode != conf.ModeHTTP && !frontend.AcceptProxy {
			return func(ctx context.Context) error { return ping(ctx, reachable(frontend.Listen[0])) }
		}
	}
	return func(ctx context.Context) error { return connects(ctx, reachable(config.Frontends[0].Listen[0])) }
}
