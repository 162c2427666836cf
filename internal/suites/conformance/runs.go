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

// runSuites installs what is needed, runs the suites and prints the results;
// false means that something is worse through mcplb.
func runSuites(ctx context.Context, opts options, stdout io.Writer) (bool, error) {
	if _, err := os.Stat(opts.mcplb); err != nil {
		return false, fmt.Errorf("%w; build it (make build) or name it with -mcplb", err)
	}
	tools, err := install(ctx, opts, func(what string) { fmt.Fprintln(stdout, what) })
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

// compare runs a suite on every route and prints the results; false means that
// something is worse through mcplb, or could not be run.
func (r runner) compare(ctx context.Context, suite suite, directory string) bool {
	fmt.Fprintln(r.stdout, suite.name)
	var direct results
	good := true
	for _, route := range routes(r.opts.modes) {
		begun := time.Now()
		results, note, err := r.run(ctx, suite, route, filepath.Join(directory, strings.ReplaceAll(route.name, " ", "")))
		fmt.Fprintf(r.stdout, "  %-24s  %-48s %5.1fs  %s\n", route.name, results.summary(), time.Since(begun).Seconds(), note)
		if err != nil {
			fmt.Fprintf(r.stdout, "    FAILED: %v\n", err)
			good = false
		}
		if route.direct {
			direct = results
		} else {
			good = r.report(suite, route, direct, results) && good
		}
	}
	return good
}

// report prints what is worse through mcplb; false means that something is.
func (r runner) report(suite suite, route route, direct, proxied results) bool {
	var shared []string
	if route.servers > 1 {
		shared = suite.shared
	}
	list, tolerated := worse(direct, proxied, shared)
	for _, line := range list {
		fmt.Fprintf(r.stdout, "    WORSE: %s\n", line)
	}
	for _, line := range tolerated {
		fmt.Fprintf(r.stdout, "    needs shared state: %s\n", line)
	}
	return len(list) == 0
}

// run runs a suite on one route, with new servers. The note says how the
// messages were spread over them. There may be results even with an error.
func (r runner) run(ctx context.Context, suite suite, route route, directory string) (results results, note string, err error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, "", err
	}
	addresses, err := freeAddresses(route.servers)
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
	if route.direct {
		results, err = suite.run(ctx, r.tools, "http://"+addresses[0], directory)
		return results, "", err
	}
	return r.runThrough(ctx, suite, route.mode, addresses, directory)
}

// runThrough runs a suite through mcplb, in front of these servers.
func (r runner) runThrough(ctx context.Context, suite suite, mode mode, servers []string, directory string) (results results, note string, err error) {
	clients, url := r.tools, "http://"
	if mode.tls {
		terminators, err := terminateAll(servers, directory)
		if err != nil {
			return nil, "", err
		}
		defer terminators.close()
		servers, url = terminators.addresses(), "https://"
		clients = clients.trusting(terminators.trusted, mode.http2)
	}
	balancer, err := startBalancer(ctx, r.opts.mcplb, settings{mode: mode, servers: servers, sse: suite.sse}, directory)
	if err != nil {
		return nil, "", err
	}
	defer balancer.process.stop()
	if results, err = suite.run(ctx, clients, url+balancer.client, directory); err != nil {
		return nil, "", err
	}
	note, err = balancer.spread(ctx)
	return results, note, err
}
