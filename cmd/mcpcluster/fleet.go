package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"mcplb/conf"
)

// The demonstration with several balancers: each listens on an address of its own, on the
// same ports, and all share through one Redis.

const (
	mostBalancers = 8
	roleRedis     = role("redis")
	redisAddress  = "127.0.0.10:6379" // not 127.0.0.1, where the machine may have another
)

// redisProgram returns the path of a Redis server on this machine, "" if it has none.
func redisProgram() string {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// balancerAddress is the address of balancer k, from 1.
func balancerAddress(k int) string { return fmt.Sprintf("127.0.0.%d", k) }

// balancerName is the name of balancer k of count.
func balancerName(k, count int) string {
	if count == 1 {
		return "mcplb"
	}
	return fmt.Sprintf("mcplb%d", k)
}

// configPath is the file of balancer k, where that of the first is path.
func configPath(path string, k int) string {
	if k == 1 {
		return path
	}
	return filepath.Join(filepath.Dir(path), fmt.Sprintf("lb%d.toml", k))
}

// forBalancer changes the demonstration's configuration to that of balancer k of several.
// Without shared, they share nothing.
func forBalancer(demo string, k int, shared bool) string {
	text := strings.ReplaceAll(demo, `"127.0.0.1:`, `"`+balancerAddress(k)+":")
	text = strings.ReplaceAll(text, `":8000"`, `"`+balancerAddress(k)+`:8000"`)
	if shared {
		text += fmt.Sprintf("\n[fleet]\nredis    = %q\nname     = \"demo\"\ninstance = %q\n", "redis://"+redisAddress+"/0", balancerName(k, 2))
	}
	return text
}

// planFleet lists the processes of several balancers with the same nodes: the nodes, the
// Redis if the configurations name one, and the balancers. configs are theirs, and path is
// the first one's file.
func planFleet(configs []*conf.Config, path string) []member {
	members := plan(configs[0], path)
	if len(configs) == 1 {
		return members
	}
	members = members[:len(members)-1]
	if configs[0].Fleet.Redis.Network != "" {
		members = append(members, redisMember())
	}
	for i, config := range configs {
		one := balancer(config, configPath(path, i+1))
		one.name = balancerName(i+1, len(configs))
		members = append(members, one)
	}
	return members
}

// redisMember is the Redis server of the demonstration. It writes nothing to disk.
func redisMember() member {
	host, port, _ := strings.Cut(redisAddress, ":")
	return member{
		role: roleRedis, name: "redis", binary: "redis-server", path: redisProgram(),
		args:      []string{"--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--maxmemory", "64mb"},
		addresses: []endpoint{{"redis", redisAddress}},
		ready:     redisReady,
	}
}

// redisReady asks Redis whether it serves.
func redisReady(ctx context.Context) error {
	conn, err := dial(ctx, redisAddress)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return fmt.Errorf("ask Redis: %w", err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the answer of Redis: %w", err)
	}
	if answer != "+PONG\r\n" {
		return fmt.Errorf("the answer of Redis is %q", answer)
	}
	return nil
}

// loadAll reads the configurations of count balancers, the first at path.
func loadAll(path string, count int) (configs []*conf.Config, err error) {
	for k := 1; k <= max(count, 1); k++ {
		config, err := conf.Load(configPath(path, k))
		if err != nil {
			return nil, fmt.Errorf("the configuration is not usable:\n%w", err)
		}
		configs = append(configs, config)
	}
	return configs, nil
}
