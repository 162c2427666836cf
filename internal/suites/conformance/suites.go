package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	suiteTimeout  = 5 * time.Minute // the conformance suite takes 3 to 12 seconds
	clientTimeout = time.Minute     // a client takes 1 to 15 seconds
)

// suite is a set of clients and the servers they run against.
type suite struct {
	name   string
	server func(t tools, address string) program
	run    func(ctx context.Context, t tools, url, directory string) (results, error)
	sse    []string // path prefixes of the deprecated HTTP+SSE transport
	shared []string // checks that need servers with shared state
}

// suites returns all suites, in the order in which they run.
func suites() []suite {
	return []suite{
		{
			name:   "conformance 2025-11-25, Go everything-server with sessions",
			server: goServer("-stateless=false"),
			run:    conformance("2025-11-25"),
		},
		{
			name:   "conformance 2026-07-28, Go everything-server, stateless",
			server: goServer(),
			run:    conformance("2026-07-28"),
			// These change a list with one request and look for the change with
			// another, which a stateless balancer sends to another server.
			shared: []string{
				"server-stateless: sep-2575-server-sends-prompts-list-changed-on-subscription",
				"server-stateless: sep-2575-server-sends-tools-list-changed-on-subscription",
				"tools-list: tools-list-deterministic-order",
			},
		},
		{
			name:   "conformance 2025-11-25, TypeScript server-everything",
			server: npmServer("streamableHttp"),
			run:    conformance("2025-11-25"),
		},
		{
			name:   "inspector, server-everything over Streamable HTTP",
			server: npmServer("streamableHttp"),
			run:    inspect("/mcp", "http"),
		},
		{
			name:   "inspector, server-everything over HTTP+SSE",
			server: npmServer("sse"),
			run:    inspect("/sse", "sse"),
			sse:    []string{"/sse", "/message"},
		},
		{
			name:   "TypeScript SDK's example clients and server",
			server: exampleServer,
			run:    exampleClients,
		},
		{
			name:   "TypeScript SDK's polling client and server (streams resumed by Last-Event-ID)",
			server: pollingServer,
			run:    pollingClient,
		},
		{
			name:   "TypeScript SDK's falling back client, server-everything over HTTP+SSE",
			server: npmServer("sse"),
			run:    fallbackClient,
			sse:    []string{"/sse", "/message"},
		},
	}
}

// goServer returns the Go SDK's conformance server.
func goServer(args ...string) func(tools, string) program {
	return func(t tools, address string) program {
		return program{path: t.everything, args: append([]string{"-http=" + address}, args...)}
	}
}

// npmServer returns the package server-everything, with one of its transports.
func npmServer(transport string) func(tools, string) program {
	return func(t tools, address string) program {
		_, port, _ := strings.Cut(address, ":")
		return t.script(filepath.Join(t.bin, "mcp-server-everything"), []string{transport}, "PORT="+port)
	}
}

// exampleServer returns the TypeScript SDK's example server, with resumable
// streams.
func exampleServer(t tools, address string) program {
	_, port, _ := strings.Cut(address, ":")
	return t.script(t.example("server", "simpleStreamableHttp"), nil, "MCP_PORT="+port)
}

// script returns a script, run by t.node, as are those that it runs.
func (t tools) script(script string, args []string, env ...string) program {
	return program{
		path: t.node,
		args: append([]string{script}, args...),
		env:  slices.Concat(env, t.env, []string{"PATH=" + filepath.Dir(t.node) + ":" + t.bin + ":" + os.Getenv("PATH")}),
	}
}

// example returns the path of an example of the TypeScript SDK.
func (t tools) example(side, name string) string { return filepath.Join(t.sdk, side, name+".js") }

// conformance runs the official suite for a revision of the specification.
func conformance(revision string) func(context.Context, tools, string, string) (results, error) {
	return func(ctx context.Context, t tools, url, directory string) (results, error) {
		found := filepath.Join(directory, "checks")
		program := t.script(filepath.Join(t.bin, "conformance"),
			[]string{"server", "--url", url + "/mcp", "--requirements", revision, "-o", found})
		program.name = "conformance"
		_, err := output(ctx, suiteTimeout, program, directory)
		if err != nil && !errors.As(err, new(*exec.ExitError)) { // a failed check is a result, not an error
			return nil, err
		}
		return readChecks(found)
	}
}

// scenarioDirectory matches the directory of a scenario's results.
var scenarioDirectory = regexp.MustCompile(`^server-(.*)-\d{4}-\d\d-\d\dT[-\dZ]+$`)

// readChecks reads the results of the suite: a directory per scenario.
func readChecks(directory string) (results, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*", "checks.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("the conformance suite has left no results in %s", directory)
	}
	all := results{}
	for _, file := range files {
		name := scenarioDirectory.FindStringSubmatch(filepath.Base(filepath.Dir(file)))
		if name == nil {
			return nil, fmt.Errorf("%s: unknown form of a result's name", file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var checks []struct{ ID, Status string }
		if err := json.Unmarshal(text, &checks); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, check := range checks {
			all.add(name[1]+": "+check.ID, result{status: check.Status})
		}
	}
	return all, nil
}

// add adds a result; further results of the same check get numbers.
func (r results) add(check string, result result) {
	name := check
	for n := 2; ; n++ {
		if _, taken := r[name]; !taken {
			r[name] = result
			return
		}
		name = fmt.Sprintf("%s (%d)", check, n)
	}
}

// inspect makes the inspector call a server, once for each type of request;
// each call opens a session.
func inspect(path, transport string) func(context.Context, tools, string, string) (results, error) {
	calls := [][]string{
		{"tools/list"},
		{"resources/list"},
		{"resources/templates/list"},
		{"prompts/list"},
		{"prompts/get", "--prompt-name", "simple-prompt"},
		{"tools/call", "--tool-name", "echo", "--tool-arg", "message=hi"},
		{"tools/call", "--tool-name", "get-tiny-image"},
		{"tools/call", "--tool-name", "trigger-long-running-operation", "--tool-arg", "duration=1", "steps=4"},
	}
	return func(ctx context.Context, t tools, url, directory string) (results, error) {
		all := results{}
		for i, call := range calls {
			args := append([]string{"--cli", url + path, "--transport", transport, "--method"}, call...)
			program := t.script(filepath.Join(t.bin, "mcp-inspector"), args, "HOME="+directory) // it keeps files there
			program.name = fmt.Sprintf("inspector%d", i+1)
			all[strings.Join(call, " ")] = clientResult(output(ctx, clientTimeout, program, directory))
		}
		return all, ctx.Err()
	}
}

// exampleClients runs three clients of the TypeScript SDK.
func exampleClients(ctx context.Context, t tools, url, directory string) (results, error) {
	all := results{}
	for client, last := range map[string]string{
		"multipleClientsParallel":             "All clients completed successfully",
		"parallelToolCallsClient":             "Disconnected from MCP server",
		"streamableHttpWithSseFallbackClient": "Disconnected from MCP server",
	} {
		all[client] = example(ctx, t, client, 1, url+"/mcp", last, directory)
	}
	return all, ctx.Err()
}

// fallbackClient runs the client that tries Streamable HTTP and, when the
// server refuses, continues with HTTP+SSE.
func fallbackClient(ctx context.Context, t tools, url, directory string) (results, error) {
	const client, last = "streamableHttpWithSseFallbackClient", "Successfully connected using deprecated HTTP+SSE transport."
	return results{"fallback": example(ctx, t, client, 1, url+"/sse", last, directory)}, ctx.Err()
}

// pollingServer closes a call's stream before the response; the client
// reconnects for the rest.
func pollingServer(t tools, address string) program {
	_, port, _ := strings.Cut(address, ":")
	return t.script(t.example("server", "ssePollingExample"), nil, "POLLING_PORT="+port)
}

// pollingClient runs several clients at once, so that several servers are used.
func pollingClient(ctx context.Context, t tools, url, directory string) (results, error) {
	const clients = 4
	var outcomes [clients]result
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			outcomes[i] = example(ctx, t, "ssePollingClient", i+1, url+"/mcp", "[Client] Tool completed!", directory)
		})
	}
	running.Wait()
	all := results{}
	for _, outcome := range outcomes {
		all.add("polling", outcome)
	}
	return all, ctx.Err()
}

// example runs a client of the TypeScript SDK, the number-th of its name. Its
// output must contain last: the exit status of some does not show a failure.
func example(ctx context.Context, t tools, client string, number int, url, last, directory string) result {
	program := t.script(t.example("client", client), []string{url})
	program.name = fmt.Sprint(client, number)
	result := clientResult(output(ctx, clientTimeout, program, directory))
	if !strings.Contains(result.detail, last) {
		result.status = fmt.Sprintf("FAILURE (no %q in its output)", last)
	}
	result.detail = essence(result.detail, url)
	return result
}

func clientResult(printed string, err error) result {
	if err != nil {
		return result{err.Error(), printed}
	}
	return result{success, printed}
}

// incidental matches output of an example client that differs from run to run.
// Some make a call and open the GET stream at the same moment, on two
// connections: then they receive what the call sends at once only if the stream
// was first.
var incidental = regexp.MustCompile(`Notification: |Progress: 25%|\[Event ID\]|Final event ID|Client error: .*AbortError|^    at |Start time|Duration|took`)

// essence returns the invariant part of a client's output, independent of the
// order of the lines that its parallel calls print.
func essence(printed, url string) string {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(printed, url, "URL")) {
		if !incidental.MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
