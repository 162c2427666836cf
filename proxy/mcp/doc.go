// Package mcp is what mcplb knows of the Model Context Protocol on the wire:
// where one JSON-RPC message ends and the next begins, what of a request and
// its answer names the server that a session lives on, how to refuse a message
// in words its sender understands, and nothing of what the messages mean.
//
// It guarantees that whatever the bytes and however they are cut into chunks,
// nothing here panics, keeps more than a fixed number of bytes, or finds
// anything else than with the bytes in one piece. On the path of messages that
// pass, nothing allocates.
//
// Messages one a line, in modes mcp and, for errors, http:
//
//	Meter      counts the messages of a stream and watches their length
//	Filter     asks for leave for each message and takes out those refused
//	IDScanner  finds the id of one JSON-RPC message, to answer it by
//	Append...  writes JSON-RPC errors
//
// HTTP, both eras of it:
//
//	EraOf, MethodOf, AppendName    read the headers that MCP defines
//	Tag                            names a server behind a session's id
//	AppendTagged, SplitTagged      put it there in Mcp-Session-Id, and take it off
//	EndpointRewriter, SplitQuery   do so in the URI of the HTTP+SSE transport
//	BodyScanner                    finds a request's id and method in its body
//	AppendHTTPError                writes the body of an answer that refuses it
//
// The framing of lines is that of MCP's stdio transport, which is also its raw
// TCP form: one message a line, ended by "\n" or "\r\n", no newline inside
// (JSON escapes them). A line of nothing but carriage returns is blank: it is
// passed on and is no message. Every other line is one message, valid or not.
//
// It does no I/O, knows no connection, no time and no limits, and does not
// validate JSON: that is the server's business. Nothing here that keeps state
// is safe for use by several goroutines at once; a stream belongs to one.
package mcp
