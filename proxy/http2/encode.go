package http2

import (
	"bytes"
	"strconv"
	"unsafe"

	"mcplb/proxy/http1"

	"golang.org/x/net/http2/hpack"
)

// headWriter makes a header block of the text of a head. All connections of a loop use
// the same one.
type headWriter struct {
	encoder *hpack.Encoder
	block   []byte
	name    []byte            // in lower case
	known   map[string]string // strings that tables keep, so that they need no copy each
	interim bool
}

// Write implements io.Writer for the encoder.
func (w *headWriter) Write(p []byte) (int, error) {
	w.block = append(w.block, p...)
	return len(p), nil
}

// mostKnown is how many strings are shared by the tables of a loop's connections.
const mostKnown = 1024

// encoder keeps the table of what a client knows of earlier blocks. While a connection is at
// rest, it has none: the next block empties the client's.
type encoder struct {
	hpack     *hpack.Encoder // nil at rest
	tableSize uint32         // SETTINGS_HEADER_TABLE_SIZE of the client, 4 KB at most
	used      bool           // the client's table may not be empty, or has another size
}

// begin begins a header block in w.
func (e *encoder) begin(w *headWriter) *headWriter {
	w.block = w.block[:0]
	if e.hpack == nil {
		e.hpack = hpack.NewEncoder(w)
		if e.used {
			e.hpack.SetMaxDynamicTableSize(0)
		}
		if e.used || e.tableSize != tableLimit {
			e.hpack.SetMaxDynamicTableSize(e.tableSize)
		}
		e.used = true
	}
	w.encoder = e.hpack
	return w
}

// setTableSize bounds the table, which the next block signals.
func (e *encoder) setTableSize(size uint32) {
	e.tableSize = size
	if e.hpack != nil {
		e.hpack.SetMaxDynamicTableSize(size)
	} else {
		e.used = true
	}
}

// rest lets go of the table.
func (e *encoder) rest() { e.hpack = nil }

// addHead adds the status and the fields of a head, and returns its Content-Length; -1 if it
// has none.
func (w *headWriter) addHead(head []byte) (length int64) {
	const status = len("HTTP/1.1 ")
	code := head[status : status+3]
	w.interim = code[0] == '1'
	if string(code) == "101" {
		code, w.interim = statusOK, false
	}
	w.encode(":status", code, true)
	line := bytes.IndexByte(head, '\n')
	return w.addFields(head[line+1:])
}

var statusOK = []byte("200")

// addFields adds field lines, up to an empty one, and returns the Content-Length.
func (w *headWriter) addFields(lines []byte) (length int64) {
	length = -1
	for len(lines) > 2 {
		end := bytes.IndexByte(lines, '\n')
		colon := bytes.IndexByte(lines, ':')
		if end < 0 || colon <= 0 || colon > end {
			break
		}
		name, value := lines[:colon], bytes.Trim(lines[colon+1:end], " \t\r")
		lines = lines[end+1:]
		id := http1.HeaderOf(name)
		switch {
		case hopByHop.Has(id):
			continue
		case id == http1.HeaderContentLength:
			if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
				length = n
			}
		}
		w.name = w.name[:0]
		for _, b := range name {
			if b >= 'A' && b <= 'Z' {
				b |= 0x20
			}
			w.name = append(w.name, b)
		}
		w.encode(w.stable(w.name), value, indexed(id, value))
	}
	return length
}

// hopByHop are the fields that HTTP/2 does not have (RFC 9113 section 8.2.2), and the
// answer to a WebSocket's key, which the client has not sent.
const hopByHop = http1.HopByHop | 1<<http1.HeaderSecWebSocketAccept

// indexed reports whether a field is worth a place in the table: one that other
// responses are likely to have, too.
func indexed(id http1.HeaderID, value []byte) bool {
	switch id {
	case http1.HeaderContentLength, http1.HeaderContentDigest, http1.HeaderETag, http1.HeaderLocation, http1.HeaderContentRange,
		http1.HeaderSetCookie, http1.HeaderMcpSessionID, http1.HeaderAuthorization, http1.HeaderProxyAuthenticate:
		return false
	}
	return len(value) <= 128
}

// encode adds a field. One that is not indexed is marked as never to be: that is how the
// encoder is kept from holding on to it.
func (w *headWriter) encode(name string, value []byte, indexed bool) {
	f := hpack.HeaderField{Name: name, Sensitive: !indexed}
	if indexed {
		f.Value = w.stable(value)
	} else {
		f.Value = unsafe.String(unsafe.SliceData(value), len(value))
	}
	_ = w.encoder.WriteField(f) // writes to w.block
}

// stable returns p as a string that lives as long as tables need it.
func (w *headWriter) stable(p []byte) string {
	if s, found := w.known[string(p)]; found {
		return s
	}
	if len(w.known) >= mostKnown || w.known == nil {
		w.known = make(map[string]string)
	}
	s := string(p)
	if len(p) <= 128 {
		w.known[s] = s
	}
	return s
}
