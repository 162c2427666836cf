// Mcpnode is a minimal MCP server: the server to try, test and measure mcplb with.
//
// It speaks real MCP by the official Go SDK, each transport at a separate address
// and path:
//
//	flag   path      transport
//	-tcp             raw TCP: stdio framing, one JSON-RPC message per line, one session per connection
//	-http  /mcp      Streamable HTTP: with sessions (up to 2025-11-25) and without (from 2026-07-28)
//	-ws    /mcp/ws   WebSocket, subprotocol mcp, one message per text frame; without -ws on -http
//	-sse   /mcp/sse  the deprecated HTTP+SSE; without -sse on -http
//
// Every HTTP address also answers /health with 200. The tools are echo, whoami
// (the node's name: which server answered), slow (takes its time, reports
// progress, can be cancelled) and ask (asks the client back, by sampling). For clients
// without sessions that declare the extension io.modelcontextprotocol/tasks, slow and ask
// answer with a task: tasks/get, tasks/update, tasks/cancel and subscriptions/listen
// serve it. One process holds 25,000 sessions within 2 GB.
//
//	mcpnode -name node1 -tcp 127.0.0.11:9001 -http 127.0.0.11:8080 -sse 127.0.0.11:8081
//
// It exits with 0 after SIGTERM or SIGINT, with 1 if it cannot serve, and with 2 if
// its command line is wrong. It does no authentication and limits no rates, and it
// accepts every Host and Origin: it is meant to be reached by the balancer only.
package main
