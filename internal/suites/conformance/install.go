package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// packages are the npm packages and their versions, on which the results
// depend. (The suites need a newer node than distributions have.)
var packages = map[string]string{
	"node":                                    "22",
	"@modelcontextprotocol/conformance":       "0.2.0-alpha.12",
	"@modelcontextprotocol/inspector":         "2.12.0",
	"@modelcontextprotocol/sdk":               "1.32.2",
	"@modelcontextprotocol/server-everything": "2026.8.31",
}

// newerNode is the node whose fetch speaks HTTP/2 where it is offered, as older ones do not.
var newerNode = map[string]string{"node": "26"}

// everythingServer is the Go SDK's conformance server, in the version in
// go.mod.
const everythingServer = "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"

// tools are the installed programs.
type tools struct {
	bin        string   // the directory of the npm packages' programs
	node       string   // runs them; at first the one installed with them
	newer      string   // newerNode, if there is a need for it
	env        []string // added to their environment
	sdk        string   // the directory of the TypeScript SDK's examples
	everything string   // the Go SDK's conformance server
}

// install installs the tools into the cache, unless they are there.
func install(ctx context.Context, opts options, report func(string)) (tools, error) {
	directory, newer := opts.cache, filepath.Join(opts.cache, "newer")
	t := tools{
		bin:        binaries(directory),
		node:       filepath.Join(binaries(directory), "node"),
		newer:      filepath.Join(binaries(newer), "node"),
		sdk:        examples(directory),
		everything: filepath.Join(directory, "everything-server"),
	}
	if err := npmInstall(ctx, directory, packages, report); err != nil {
		return t, err
	}
	if err := parametrize(directory); err != nil {
		return t, err
	}
	if slices.ContainsFunc(opts.modes, func(m mode) bool { return m.http2 }) {
		if err := npmInstall(ctx, newer, newerNode, report); err != nil {
			return t, err
		}
	}
	return t, command(ctx, "", "go", "build", "-o", t.everything, everythingServer)
}

// binaries returns the directory of the programs of packages.
func binaries(directory string) string { return filepath.Join(directory, "node_modules", ".bin") }

// trusting returns tools whose programs trust the certificate in a file, and speak HTTP/2
// if they are to.
func (t tools) trusting(file string, http2 bool) tools {
	t.env = []string{"NODE_EXTRA_CA_CERTS=" + file}
	if http2 {
		t.node = t.newer
	}
	return t
}

// npmInstall installs packages, unless they are installed: then a copy of the
// manifest exists, which is written at the end of an installation.
func npmInstall(ctx context.Context, directory string, packages map[string]string, report func(string)) error {
	manifest, err := json.MarshalIndent(map[string]any{"private": true, "dependencies": packages}, "", "  ")
	if err != nil {
		return err
	}
	installed := filepath.Join(directory, "installed.json")
	if there, err := os.ReadFile(installed); err == nil && string(there) == string(manifest) {
		return nil
	}
	report("installing from the npm registry into " + directory)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, "package.json"), manifest, 0o644); err != nil {
		return err
	}
	if err := command(ctx, directory, "npm", "install", "--no-audit", "--no-fund", "--loglevel=error"); err != nil {
		return fmt.Errorf("%w; is npm installed and the npm registry reachable?", err)
	}
	return os.WriteFile(installed, manifest, 0o644)
}

// examples returns the directory of the TypeScript SDK's examples.
func examples(directory string) string {
	return filepath.Join(directory, "node_modules", "@modelcontextprotocol", "sdk", "dist", "esm", "examples")
}

// parametrize gives the two examples with a fixed port a parameter for it, and lets the
// part of the suite that uses no fetch speak TLS, too.
func parametrize(directory string) error {
	server, client := filepath.Join(examples(directory), "server"), filepath.Join(examples(directory), "client")
	suite := filepath.Join(directory, "node_modules", "@modelcontextprotocol", "conformance", "dist")
	for _, change := range []struct{ path, from, to string }{
		{filepath.Join(server, "ssePollingExample.js"), "const PORT = 3001;", "const PORT = Number(process.env.POLLING_PORT);"},
		{filepath.Join(client, "ssePollingClient.js"), "const SERVER_URL = 'http://localhost:3001/mcp';", "const SERVER_URL = process.argv[2];"},
		{filepath.Join(suite, "index.js"), "g.request({hostname:r.hostname,", "(r.protocol===`https:`?process.getBuiltinModule(`https`):g).request({hostname:r.hostname,"},
	} {
		text, err := os.ReadFile(change.path)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), change.to) { // npm found nothing to do
			continue
		}
		changed := strings.Replace(string(text), change.from, change.to, 1)
		if changed == string(text) {
			return fmt.Errorf("%s no longer contains %q", change.path, change.from)
		}
		if err := os.WriteFile(change.path, []byte(changed), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// command runs a program to its end; its output appears only in the error.
func command(ctx context.Context, directory, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = directory
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}
