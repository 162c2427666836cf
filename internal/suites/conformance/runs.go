package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// way is how clients get to the servers.
type way struct {
	name    string
	servers int
	direct  bool
}

// ways are all ways, the direct one first: the others are compared with it.
var ways = []way{
	{"directly", 1, true},
	{"mcplb, 1 server", 1, false},
	{"mcplb, 4 servers", 4, false},
}

// runSuites installs what is needed, runs the suites and prints the results;
// false means that something is worse behind mcplb.
func runSuites(ctx context.Context, opts options, stdout io.Writer) (bool, error) {
	if _, err := os.Stat(opts.mcplb); err != nil {
		return false, fmt.Errorf("%w; build it (make build) or name it with -mcplb", err)
	}
	tools, err := install(ctx, opts.cache, func(what string) { fmt.Fprintln(stdout, what) })
	if err != nil {
		return false, err
	}
	directory := opts.keep
	if directory == "" {
		if directory, err = os.MkdirTemp("", "mcplb-conformance-"); err != nil {
			return false, err
		}
		defer os.RemoveAll(directory)
	}
	good := true
	for number, suite := range suites() {
		if !opts.only.MatchString(suite.name) {
			continue
		}
		r := runner{opts, tools, stdout}
		if !r.compare(ctx, suite, filepath.Join(directory, fmt.Sprint(number+1))) {
			good = false
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	return good, nil
}

// runner runs suites.
type runner struct {
	opts   options
	tools  tools
	stdout io.Writer
}

// compare runs a suite on every way and prints what comes out; false means that
// something is worse behind mcplb, or could not be run.
func (r runner) compare(ctx context.Context, suite suite, directory string) bool {
	fmt.Fprintln(r.stdout, suite.name)
	var direct results
	good := true
	for _, way := range ways {
		begun := time.Now()
		results, note, err := r.run(ctx, suite, way, filepath.Join(directory, strings.ReplaceAll(way.name, " ", "")))
		fmt.Fprintf(r.stdout, "  %-16s  %-48s %5.1fs  %s\n", way.name, results.summary(), time.Since(begun).Seconds(), note)
		if err != nil {
			fmt.Fprintf(r.stdout, "    FAILED: %v\n", err)
			good = false
		}
		if way.direct {
			direct = results
		} else {
			good = r.report(suite, way, direct, results) && good
		}
	}
	return good
}

// report prints what is worse behind mcplb; false means that something is.
func (r runner) report(suite suite, way way, direct, behind results) bool {
	var shared []string
	if way.servers > 1 {
		shared = suite.shared
	}
	list, tolerated := worse(direct, behind, shared)
	for _, line := range list {
		fmt.Fprintf(r.stdout, "    WORSE: %s\n", line)
	}
	for _, line := range tolerated {
		fmt.Fprintf(r.stdout, "    needs shared state: %s\n", line)
	}
	return len(list) == 0
}

// run runs a suite on one way, on servers of its own. The note tells how the
// messages were spread over them. With an error there may be results, too.
func (r runner) run(ctx context.Context, suite suite, way way, directory string) (results results, note string, err error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, "", err
	}
	addresses, err := freeAddresses(way.servers)
	if err != nil {
		return nil, "", err
	}
	for i, address := range addresses {
		program := suite.server(r.tools, address)
		program.name, program.addr = fmt.Sprintf("server%d", i+1), address
		server, err := start(ctx, program, directory)
		if err != nil {
			return nil, "", err
		}
		defer server.stop()
	}
	if way.direct {
		results, err = suite.run(ctx, r.tools, "http://"+addresses[0], directory)
		return results, "", err
	}
	balancer, err := startBalancer(ctx, r.opts.mcplb, addresses, suite.sse, directory)
	if err != nil {
		return nil, "", err
	}
	defer balancer.process.stop()
	if results, err = suite.run(ctx, r.tools, "http://"+balancer.client, directory); err != nil {
		return nil, "", err
	}
	note, err = balancer.spread(ctx)
	return results, note, err
}
