// Package mcp is what mcplb knows of the Model Context Protocol on the wire:
// where one JSON-RPC message ends and the next begins, how to refuse a message
// in words its sender understands, and nothing of what the messages mean.
//
// It guarantees that whatever the bytes and however they are cut into chunks,
// nothing here panics, keeps more than a fixed number of bytes, or loses its
// place past the next newline. On the path of messages that pass, nothing
// allocates.
//
//	Meter      counts the messages of a stream and watches their length
//	Filter     asks for leave for each message and takes out those refused
//	IDScanner  finds the id of one JSON-RPC message, to answer it by
//	Append...  writes JSON-RPC errors
//
// The framing is that of MCP's stdio transport, which is also its raw TCP
// form: one message a line, ended by "\n" or "\r\n", no newline inside
// (JSON escapes them). A line of nothing but carriage returns is blank: it is
// passed on and is no message. Every other line is one message, valid or not.
//
// It does no I/O, knows no connection, no time and no limits, and does not
// validate JSON: that is the server's business. Nothing here is safe for use by
// several goroutines at once; a stream belongs to one.
package mcp
