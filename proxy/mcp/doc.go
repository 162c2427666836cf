// Package mcp implements what mcplb needs of the Model Context Protocol on the
// wire: finding the boundaries of JSON-RPC messages, finding the server that
// holds a session, and refusing a message with an error that its sender
// understands.
//
// Messages as lines, in mode mcp and, for errors, http:
//
//	Meter      counts the messages of a stream and limits their length
//	Filter     removes the messages that an Admitter refuses
//	IDScanner  finds the id of one JSON-RPC message, for the response
//	Append...  functions that write JSON-RPC errors
//
// HTTP, in both eras of the protocol:
//
//	EraOf, MethodOf, AppendName    read the headers that MCP defines
//	Tag                            identifies the server of a session
//	AppendTagged, SplitTagged      add it to Mcp-Session-Id, and remove it
//	EndpointRewriter, SplitQuery   do so in the URI of the HTTP+SSE transport,
//	                               where it is a query parameter of its own
//	BodyScanner                    finds a request's id and method in its body
//	AppendHTTPError                writes the body of a response that refuses it
//	Reader                         finds what a body's messages ask for, as any
//	                               server may read them, for rules; Inflater,
//	                               where the body is compressed
//
// For example, a session's id on its way to the client and back:
//
//	out = mcp.AppendTagged(out, id, mcp.TagOf(server)) // "<id>.<tag>"
//	id, tag, ok := mcp.SplitTagged(value)
//
// Lines are framed as in MCP's stdio transport, which is also its raw TCP form:
// one message per line, ended by "\n" or "\r\n", with no newline inside (JSON
// escapes them). A line of nothing but carriage returns is blank: it is passed
// on and is not a message, but the limits count it (Begun, Filter). Every other line
// is one message, valid or not.
//
// The package guarantees that no input makes it panic, that it holds at most a
// fixed number of bytes, and that its results do not depend on how the input is
// split into chunks. Passing a message on allocates nothing. No value with
// state may be used by several goroutines at once; each belongs to one stream.
//
// It does no I/O, has no timeouts, does not interpret messages, and, a Reader
// aside, does not validate JSON, which is up to the server.
package mcp
