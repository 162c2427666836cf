// Package http2 implements the syntax of HTTP/2 (RFC 9113), HPACK (RFC 7541) and
// what both need to be kept track of, for the server side of a proxy: frames,
// header blocks, stream states, windows, and what a client may cost. It works on
// bytes and does no I/O.
//
// It guarantees that a request it reports has exactly one meaning, that memory and
// work are bounded whatever the client sends, and that a connection at rest
// allocates nothing for a request.
//
//	Conn     one connection: bytes in, events out, and what has to be sent
//	Stream   one stream of a Conn: its state and windows
//	Event    what the client did that the caller must know of
//	Shared   what all connections of an event loop use: scratch and free streams
//	Decoder  the table of HPACK, and fields as slices
//	Append*  frames and responses, appended to what is sent
//
// A request becomes the text of an HTTP/1.1 head, which package http1 parses: so
// everything that knows http1.RequestHead works on it, and it is checked by two
// independent readers. A response is given as the text of an HTTP/1.1 head, too.
//
// The caller reads, and passes on what has come:
//
//	out = conn.Start(&loop.shared, settings, out)       // once: our SETTINGS
//	for {
//		event, n := conn.Next(p, now, &out)         // acknowledgements go to out
//		p = p[n:]
//		switch event.Kind {
//		case http2.EventNone:                       // keep p: call again with p and more
//		case http2.EventRequest:                    // event.Head is the text of a head
//		case http2.EventData:                       // a piece of a body; then conn.Credit
//		case http2.EventFailed:                     // send out, which has GOAWAY; close
//		...
//		}
//	}
//
// and sends out, responses (AppendResponse), their bodies (AppendData), trailers
// (AppendTrailers) or their failure (AppendReset), and gives each stream back
// (Release) when the exchange with the server is over, too.
//
// A Conn, its Streams and its Shared belong to one goroutine.
package http2
