package mcp

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// Era says which of the two protocols called MCP a request belongs to.
type Era uint8

const (
	// EraSession is MCP up to 2025-11-25: initialize opens a session on one
	// server, and Mcp-Session-Id identifies it from then on.
	EraSession Era = iota
	// EraStateless is MCP from 2026-07-28 on: every request is complete and may
	// go to any server; Mcp-Session-Id means nothing.
	EraStateless
	// NumEras is the number of eras, for counters.
	NumEras
)

// firstStateless is the first version of the stateless era.
const firstStateless = "2026-07-28"

// EraOf returns a request's era from the value of its MCP-Protocol-Version
// header, nil if it has none. Versions are dates. Only a date of the calendar
// from 2026-07-28 on belongs to the stateless era. Everything else is left to the
// session era: an earlier date, no header (2025-03-26 or an initialize: MCP
// 2025-06-18, Transports, Protocol Version Header), and what is no date, such as
// a draft's name, a quoted date or a list. So an odd header never takes a session
// away from its server, which judges versions itself. A header that stands in
// several lines is no single date, either: do not ask EraOf about its first line.
// Mcp-Method does not matter: a server refuses one header without the other.
func EraOf(version []byte) Era {
	switch string(version) {
	case "", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25": // the usual values
		return EraSession
	}
	if isDate(version) && string(version) >= firstStateless {
		return EraStateless
	}
	return EraSession
}

// String returns the era as one word, for logs and labels.
func (e Era) String() string {
	if e == EraSession {
		return "session"
	}
	return "stateless"
}

// isDate reports whether text is a date of the Gregorian calendar in the form
// YYYY-MM-DD (RFC 3339, full-date).
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
	month, day := number(text[5:7]), number(text[8:])
	return 1 <= month && month <= 12 && 1 <= day && day <= daysOf(number(text[:4]), month)
}

// number returns the value of decimal digits.
func number(digits []byte) (n int) {
	for _, b := range digits {
		n = n*10 + int(b-'0')
	}
	return n
}

// daysOf returns the number of days of a month (1 to 12).
func daysOf(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// maxName is the longest header value that AppendName decodes, in bytes. Names
// of tools and ids of tasks are far shorter; long URIs may not be.
const maxName = 2048

// The delimiters of a base64 header value, case-sensitive.
const (
	base64Begin = "=?base64?"
	base64End   = "?="
)

// AppendName appends to dst the decoded value of an Mcp-Name or Mcp-Param-*
// header: the value itself, or what it encodes if it has the form
// "=?base64?...?=" (MCP 2026-07-28, Streamable HTTP, Value Encoding). If the
// encoded form is longer than 2,048 bytes or not UTF-8 in base64, ok is false
// and dst is unchanged: the server will refuse such a request. AppendName
// allocates only to let dst grow.
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

// NeedsName reports whether a request of a method has Mcp-Name in the stateless era (MCP
// 2026-07-28, Streamable HTTP, Standard Headers; SEP-2663).
func NeedsName(method []byte) bool {
	switch MethodOf(method) {
	case MethodToolsCall, MethodResourcesRead, MethodPromptsGet, MethodTasksGet, MethodTasksUpdate, MethodTasksCancel:
		return true
	}
	return false
}
