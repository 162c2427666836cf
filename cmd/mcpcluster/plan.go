package main

import (
	"context"
	"fmt"
	"slices"

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

	// ready makes one attempt to use the member as its clients do. No error
	// means that it serves.
	ready func(context.Context) error
}

type role string

const (
	roleNode     role = "node"
	roleBalancer role = "balancer"
)

// endpoint is an address on which a member listens, and its purpose.
type endpoint struct {
	label   string
	address string // host:port; an empty host means every address
}

// plan lists the processes that a configuration needs, in the order of their start:
// the nodes, then the balancer. path is the balancer's configuration file.
func plan(config *conf.Config, path string) []member {
	var nodes []nodePlan
	names := map[string]bool{} // taken
	for _, backend := range config.Backends {
		for _, server := range backend.Servers {
			addresses := endpoints(server)
			if i := slices.IndexFunc(nodes, func(n nodePlan) bool { return n.shares(addresses) }); i >= 0 {
				nodes[i].add(addresses) // the same server in another backend
				continue
			}
			name := server.Name
			if names[name] {
				name = backend.Name + "." + name
			}
			names[name] = true
			nodes = append(nodes, nodePlan{name, addresses})
		}
	}
	var members []member
	for _, node := range nodes {
		members = append(members, node.member())
	}
	return append(members, balancer(config, path))
}

// endpoints are a server's addresses; their labels are also mcpnode's flags. An
// address with two purposes is listed under the first only.
func endpoints(server conf.Server) []endpoint {
	var list []endpoint
	for _, e := range []endpoint{{"tcp", server.TCP}, {"http", server.HTTP}, {"ws", server.WS}, {"sse", server.SSE}} {
		if e.address != "" && (e.label == "tcp" || e.label == "http" || e.address != server.HTTP) {
			list = append(list, e)
		}
	}
	return list
}

// nodePlan is a node to start.
type nodePlan struct {
	name      string // unique
	addresses []endpoint
}

// shares reports whether the node has one of the addresses already.
func (n *nodePlan) shares(addresses []endpoint) bool {
	return slices.ContainsFunc(addresses, func(e endpoint) bool { return slices.Contains(n.addresses, e) })
}

// add adds the addresses that the node does not have yet.
func (n *nodePlan) add(addresses []endpoint) {
	for _, e := range addresses {
		if !slices.Contains(n.addresses, e) {
			n.addresses = append(n.addresses, e)
		}
	}
}

func (n *nodePlan) member() member {
	args := []string{"-name", n.name}
	for _, e := range n.addresses {
		args = append(args, "-"+e.label, e.address)
	}
	return member{
		role:      roleNode,
		name:      n.name,
		binary:    "mcpnode",
		args:      args,
		addresses: n.addresses,
		ready:     func(ctx context.Context) error { return nodeReady(ctx, n.addresses) },
	}
}

// nodeReady verifies each of a node's addresses by its purpose.
func nodeReady(ctx context.Context, addresses []endpoint) error {
	for _, e := range addresses {
		attempt := healthy
		switch e.label {
		case "tcp":
			attempt = ping
		case "sse":
			attempt = announces
		}
		if err := attempt(ctx, e.address); err != nil {
			return fmt.Errorf("%s: %w", e.label, err)
		}
	}
	return nil
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

// balancerReady chooses how to verify the balancer: by its health endpoint; without
// one, by an MCP ping through a frontend for plain lines; without that, by a
// connection to a frontend.
func balancerReady(config *conf.Config) func(context.Context) error {
	if address := config.Admin.HealthListen; address != "" {
		return func(ctx context.Context) error { return healthy(ctx, reachable(address)) }
	}
	for _, frontend := range config.Frontends {
		if frontend.Mode != conf.ModeHTTP && !frontend.AcceptProxy && frontend.TLS == nil {
			return func(ctx context.Context) error { return ping(ctx, reachable(frontend.Listen[0])) }
		}
	}
	return func(ctx context.Context) error { return connects(ctx, reachable(config.Frontends[0].Listen[0])) }
}
