package clients

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"golang.org/x/net/http2/hpack"

	"mcplb/proxy/http2"
)

// h2 translates between HTTP/1.1, which the transports speak, and HTTP/2 on the wire, as
// a client that has one request under way at a time.
type h2 struct {
	encoder  *hpack.Encoder
	decoder  *hpack.Decoder
	block    bytes.Buffer // what encoder writes
	received []byte       // an incomplete frame
	head     []byte       // of the response, in HTTP/1.1
	fields   []byte       // a header block of which a part has come
	stream   uint32       // of the latest request
	ends     bool         // the header block that is read ends the stream
	begun    bool         // the response's head has come
	busy     bool         // a request has not been answered
	next     [][]byte     // requests that are sent when it is: transports pipeline
	leaving  bool         // the server has sent GOAWAY
	body     []byte       // of the request, what no window allowed yet
	window   int          // the stream's
	all      int          // the connection's
	initial  int          // of a stream
	owed     int          // bytes received, since the server had credit for them
}

// h2Window is how much a server may send at once.
const h2Window = 1 << 20

// newH2 returns the state of a new connection.
func newH2() *h2 {
	c := &h2{all: 65535, initial: 65535}
	c.stream--
	c.encoder = hpack.NewEncoder(&c.block)
	c.decoder = hpack.NewDecoder(4096, c.field)
	return c
}

// begin returns what a client sends first.
func (c *h2) begin() []byte {
	p := http2.AppendFrameHeader([]byte(http2.Preface), 12, http2.FrameSettings, 0, 0)
	p = append(p, 0, 2, 0, 0, 0, 0) // no push
	p = binary.BigEndian.AppendUint32(append(p, 0, 4), h2Window)
	return appendIncrement(p, 0, h2Window-65535)
}

// appendIncrement appends WINDOW_UPDATE.
func appendIncrement(dst []byte, stream uint32, n int) []byte {
	dst = http2.AppendFrameHeader(dst, 4, http2.FrameWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// request sends a request, which is given in HTTP/1.1, once the one before is answered.
func (c *h2) request(w *wire, request []byte) {
	if c.busy {
		c.next = append(c.next, bytes.Clone(request))
		return
	}
	c.busy = true
	scheme := "http"
	if w.client.kind.Secure() {
		scheme = "https"
	}
	c.send(w, c.appendRequest(nil, request, scheme))
}

// appendRequest appends a request, as far as the windows allow.
func (c *h2) appendRequest(dst, request []byte, scheme string) []byte {
	head, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	line, lines, _ := bytes.Cut(head, []byte("\r\n"))
	method, rest, _ := bytes.Cut(line, space)
	target, _, _ := bytes.Cut(rest, space)
	c.block.Reset()
	c.write(":method", string(method))
	c.write(":scheme", scheme)
	c.write(":path", string(target))
	for len(lines) > 0 {
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, colon)
		key := string(bytes.ToLower(name))
		if key == "host" { // the first field of every request
			key = ":authority"
		}
		c.write(key, string(bytes.TrimSpace(value)))
	}
	c.stream += 2
	c.begun, c.window, c.body = false, c.initial, append(c.body[:0], body...)
	flags := uint8(http2.FlagEndHeaders)
	if len(body) == 0 {
		flags |= http2.FlagEndStream
	}
	dst = http2.AppendFrameHeader(dst, c.block.Len(), http2.FrameHeaders, flags, c.stream)
	return c.appendBody(append(dst, c.block.Bytes()...))
}

// write encodes a field.
func (c *h2) write(name, value string) {
	_ = c.encoder.WriteField(hpack.HeaderField{Name: name, Value: value}) // to a buffer
}

// appendBody appends what the windows allow of the request's body.
func (c *h2) appendBody(dst []byte) []byte {
	for len(c.body) > 0 {
		n := min(len(c.body), c.window, c.all, http2.MaxFrameSize)
		if n <= 0 {
			return dst
		}
		flags := uint8(0)
		if n == len(c.body) {
			flags = http2.FlagEndStream
		}
		dst = http2.AppendFrameHeader(dst, n, http2.FrameData, flags, c.stream)
		dst = append(dst, c.body[:n]...)
		c.body, c.window, c.all = c.body[n:], c.window-n, c.all-n
	}
	return dst
}

// receive passes what p, and what came before, brings to the wire's protocol.
func (c *h2) receive(w *wire, p []byte) {
	p = append(c.received, p...)
	for len(p) >= http2.FrameHeaderSize && w.h2 == c && w.up {
		length := int(p[0])<<16 | int(p[1])<<8 | int(p[2])
		if len(p) < http2.FrameHeaderSize+length {
			break
		}
		kind, flags, stream := http2.FrameType(p[3]), p[4], binary.BigEndian.Uint32(p[5:])
		payload := p[http2.FrameHeaderSize : http2.FrameHeaderSize+length]
		p = p[http2.FrameHeaderSize+length:]
		c.frame(w, kind, flags, stream, payload)
	}
	c.received = append(c.received[:0], p...)
}

// frame handles a frame of the server.
func (c *h2) frame(w *wire, kind http2.FrameType, flags uint8, stream uint32, p []byte) {
	ends := flags&http2.FlagEndStream != 0
	switch {
	case flags&http2.FlagPadded != 0 && (kind == http2.FrameData || kind == http2.FrameHeaders):
		w.client.lose("HTTP/2: padding") // no server that is measured here sends any
	case kind == http2.FrameData && stream == c.stream:
		c.data(w, p, ends)
	case kind == http2.FrameHeaders:
		c.fields, c.ends = append(c.fields[:0], p...), ends
		c.endBlock(w, flags)
	case kind == http2.FrameContinuation:
		c.fields = append(c.fields, p...)
		c.endBlock(w, flags)
	case kind == http2.FrameRSTStream && stream == c.stream && len(p) == 4:
		w.client.lose("HTTP/2: the stream is reset: " + http2.ErrorCode(binary.BigEndian.Uint32(p)).String())
	case kind == http2.FrameSettings && flags&http2.FlagAck == 0:
		c.settings(p)
		c.send(w, c.appendBody(http2.AppendFrameHeader(nil, 0, http2.FrameSettings, http2.FlagAck, 0)))
	case kind == http2.FramePing && flags&http2.FlagAck == 0 && len(p) == 8:
		c.send(w, http2.AppendPing(nil, p, true))
	case kind == http2.FrameGoAway:
		c.leaving = true
	case kind == http2.FrameWindowUpdate && len(p) == 4:
		if n := int(binary.BigEndian.Uint32(p)); stream == 0 {
			c.all += n
		} else if stream == c.stream {
			c.window += n
		}
		c.send(w, c.appendBody(nil))
	}
}

// send writes frames, if there are any.
func (c *h2) send(w *wire, p []byte) {
	if len(p) == 0 {
		return
	}
	if errno := w.conn.Send(p); errno != 0 {
		w.client.lose("write: " + errno.Error())
	}
}

// settings applies the server's SETTINGS_INITIAL_WINDOW_SIZE, and no other.
func (c *h2) settings(p []byte) {
	for ; len(p) >= 6; p = p[6:] {
		if binary.BigEndian.Uint16(p) == 4 {
			n := int(binary.BigEndian.Uint32(p[2:]))
			c.window += n - c.initial
			c.initial = n
		}
	}
}

// endBlock reads a header block if it is complete: a head, or trailers, which are left out.
func (c *h2) endBlock(w *wire, flags uint8) {
	if flags&http2.FlagEndHeaders == 0 {
		return
	}
	c.head = c.head[:0]
	if _, err := c.decoder.Write(c.fields); err != nil || c.decoder.Close() != nil {
		w.client.lose("HTTP/2: a header block is malformed")
		return
	}
	if !c.begun {
		if c.begun = !bytes.HasPrefix(c.head, []byte("HTTP/1.1 1")); !c.begun {
			return // an interim response
		}
		w.protocol.onData(w, append(c.head, "Transfer-Encoding: chunked\r\n\r\n"...))
	}
	if c.ends {
		c.end(w)
	}
}

// field adds a field to the head.
func (c *h2) field(f hpack.HeaderField) {
	switch f.Name {
	case ":status":
		c.head = append(append(append(c.head, "HTTP/1.1 "...), f.Value...), "\r\n"...)
	case "content-length": // the body gets another framing
	default:
		c.head = append(append(append(append(c.head, f.Name...), ": "...), f.Value...), "\r\n"...)
	}
}

// data passes on a part of the response's body, and gives credit for more.
func (c *h2) data(w *wire, p []byte, ends bool) {
	if c.owed += len(p); c.owed > h2Window/4 {
		c.send(w, appendIncrement(appendIncrement(nil, 0, c.owed), c.stream, c.owed))
		c.owed = 0
	}
	if len(p) > 0 {
		chunk := append(strconv.AppendInt(nil, int64(len(p)), 16), "\r\n"...)
		w.protocol.onData(w, append(append(chunk, p...), "\r\n"...))
	}
	if ends {
		c.end(w)
	}
}

// end ends the response.
func (c *h2) end(w *wire) {
	if w.h2 != c || !w.up {
		return
	}
	w.protocol.onData(w, []byte("0\r\n\r\n"))
	c.busy = false
	switch {
	case w.h2 != c || !w.up:
	case c.leaving:
		w.protocol.onEOF(w)
	case len(c.next) > 0:
		next := c.next[0]
		c.next = c.next[1:]
		c.request(w, next)
	}
}
