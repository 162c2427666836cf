// Session runs one MCP session over raw TCP with the official SDK's client, and
// prints the responses of mcpnode: initialize, tools/list, and calls of whoami,
// echo and slow, with its progress.
//
//	go run ./internal/suites/session 127.0.0.1:8000
//
// The exit status is 1 if any step fails. It does not check the content of the
// responses.
package main
