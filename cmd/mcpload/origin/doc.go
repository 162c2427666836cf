// Package origin is the leanest server that mcpload's own clients accept as an MCP
// server: raw TCP lines, and POSTs answered with JSON. A balancer in front of it is
// measured with as little as possible beside it.
//
// It keeps no sessions, and it assumes that no text needs escapes, which is true of
// mcpload's.
package origin
