package mcp

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// Era is which of the two protocols under MCP's name a request belongs to.
type Era uint8

const (
	// EraSession is MCP up to 2025-11-25: initialize opens a session, which
	// Mcp-Session-Id names from then on and which lives on one server.
	EraSession Era = iota
	// EraStateless is MCP from 2026-07-28 on: every request says all that is to
	// be known and may go to any server; Mcp-Session-Id means nothing.
	EraStateless
	// NumEras is the number of eras, for counters.
	NumEras
)

// firstStateless is the version with which the stateless era begins.
const firstStateless = "2026-07-28"

// EraOf tells a request's era by the value of its MCP-Protocol-Version header,
// nil where it has none. Versions are dates. An older date is of the session
// era, and so is a request without the header, which is 2025-03-26 or its
// initialize (MCP 2025-06-18, Transports, Protocol Version Header). Every other
// value, be it of the future or no date at all, is of the stateless era: servers
// know what they support and answer for themselves. As there, Mcp-Method has no
// say in it: one without the other is for the server to refuse.
func EraOf(version []byte) Era {
	switch string(version) {
	case "", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25": // as a rule
		return EraSession
	}
	if isDate(version) && string(version) < firstStateless {
		return EraSession
	}
	return EraStateless
}

// String returns the era as one word, for logs and labels.
func (e Era) String() string {
	if e == EraSession {
		return "session"
	}
	return "stateless"
}

// isDate reports whether text has the form YYYY-MM-DD.
func isDate(text []byte) bool {
	const form = "dddd-dd-dd"
	if len(text) != len(form) {
		return false
	}
	for i, b := range text {
		if digit := '0' <= b && b <= '9'; digit != (form[i] == 'd') || !digit && b != '-' {
			return false
		}
	}
	return true
}

// maxName is the longest encoded name that AppendName decodes, in bytes of the
// header's value. Names of tools and ids of tasks are far shorter; long URIs
// may not be.
const maxName = 2048

// The marks of a header's value in base64; their case counts.
const (
	base64Begin = "=?base64?"
	base64End   = "?="
)

// AppendName appends to dst what the value of an Mcp-Name or Mcp-Param-*
// header says: the value itself, or what it encodes if it has the form
// "=?base64?...?=" (MCP 2026-07-28, Streamable HTTP, Value Encoding). ok is
// false and dst as it was if the encoded form is longer than 2,048 bytes or is
// not UTF-8 in base64: the server will refuse such a request. It allocates only
// to let dst grow.
func AppendName(dst, value []byte) (name []byte, ok bool) {
	encoded, begins := bytes.CutPrefix(value, []byte(base64Begin))
	encoded, ends := bytes.CutSuffix(encoded, []byte(base64End))
	if !begins || !ends {
		return append(dst, value...), true
	}
	if len(value) > maxName {
		return dst, false
	}
	name, err := base64.StdEncoding.AppendDecode(dst, encoded)
	if err != nil || !utf8.Valid(name[len(dst):]) {
		return dst, false
	}
	return name, true
}

// WantsTask reports whether a request must reach the server that holds a task:
// it is of the stateless era, its method is tasks/get, tasks/update or
// tasks/cancel, and its Mcp-Name, the value of which AppendName decodes, is the
// id of that task (SEP-2663, Routing Headers).
func WantsTask(era Era, method Method, name []byte) bool {
	if era != EraStateless || len(name) == 0 {
		return false
	}
	return method == MethodTasksGet || method == MethodTasksUpdate || method == MethodTasksCancel
}
