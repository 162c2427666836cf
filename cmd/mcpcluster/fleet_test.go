package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The demonstration with several balancers is valid: each has addresses of its own, and all
// share through the same Redis.
func TestDemoWithBalancers(t *testing.T) {
	path, remove, err := writeDemo("", 3)
	if err != nil {
		t.Fatal(err)
	}
	configs, err := loadAll(path, 3)
	if err != nil {
		t.Fatal(err)
	}
	members := planFleet(configs, path)
	listening := map[string]bool{}
	var names []string
	for _, m := range members {
		names = append(names, m.name)
		for _, e := range m.addresses {
			if listening[e.address] || strings.HasPrefix(e.address, ":") {
				t.Errorf("%s of %s: %s is taken", e.label, m.name, e.address)
			}
			listening[e.address] = true
		}
	}
	want := []string{"node1", "node2", "node3", "node4", "redis", "mcplb1", "mcplb2", "mcplb3"}
	shared := redisProgram() != ""
	if !shared {
		want = slices.Delete(want, 4, 5)
	}
	if !slices.Equal(names, want) {
		t.Errorf("the members are %v, want %v", names, want)
	}
	for i, c := range configs {
		if !shared {
			continue
		}
		if c.Fleet.Redis.Address != redisAddress || c.Fleet.Name != "demo" || c.Fleet.Instance != fmt.Sprintf("mcplb%d", i+1) {
			t.Errorf("balancer %d has %+v", i+1, c.Fleet)
		}
	}
	if c := configs[1]; c.Admin.Listen != "127.0.0.2:8404" || c.Frontend("tcp").Listen[0] != "127.0.0.2:8000" || c.Backends[0].Servers[0].TCP != "127.0.0.11:9001" {
		t.Errorf("the second balancer has %+v, %+v", c.Admin, c.Backends[0].Servers[0])
	}
	remove()
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Errorf("%s is left", filepath.Dir(path))
	}
}

// Without Redis the balancers run all the same, and share nothing.
func TestBalancersWithoutRedis(t *testing.T) {
	t.Setenv("PATH", "")
	path, remove, err := writeDemo("", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	configs, err := loadAll(path, 2)
	if err != nil {
		t.Fatal(err)
	}
	if members := planFleet(configs, path); len(members) != 6 || configs[1].Fleet.Redis.Network != "" {
		t.Errorf("%d members, %+v", len(members), configs[1].Fleet)
	}
}

// What cannot be is refused before anything starts.
func TestNumberOfBalancers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		count  int
		config string
		ok     bool
	}{{1, "", true}, {1, "lb.toml", true}, {2, "", true}, {2, "lb.toml", false}, {0, "", false}, {9, "", false}} {
		if err := checkBalancers(test.count, test.config); (err == nil) != test.ok {
			t.Errorf("%d balancers with -c %q: %v", test.count, test.config, err)
		}
	}
}
