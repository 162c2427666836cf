// Session opens one MCP session over raw TCP by the official SDK's client, and
// shows what mcpnode answers: initialize, tools/list, and calls of whoami, echo
// and slow, with its progress.
//
//	go run ./internal/suites/session 127.0.0.1:8000
//
// The exit status is 1 when anything of it fails.
package main
