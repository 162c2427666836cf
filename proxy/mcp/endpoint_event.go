package mcp

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// white is the white space around a URI, in the data of an event.
const white = " \t\r\n"

// appendEvent appends a complete event, without a byte order mark. If it is an
// endpoint event, the URI in its data gets the tag.
func appendEvent(dst, event []byte, t Tag) (out []byte, tagged bool) {
	data, found := endpointData(event)
	if !found {
		return append(dst, event...), false
	}
	var few [4]tagPoint
	from := 0
	points := appendTagPoints(few[:0], data.text)
	for _, point := range points {
		at := data.offset(point.at)
		dst = append(dst, event[from:at]...)
		dst = append(dst, point.separator)
		dst = append(dst, TagParameter...)
		dst = append(dst, '=')
		dst = append(dst, t[:]...)
		from = at
	}
	return append(dst, event[from:]...), len(points) > 0
}

// eventData is the data of an event (HTML Standard, section 9.2.6).
type eventData struct {
	event []byte
	text  []byte // of all data lines, with a line feed between two
	lines int
	first int // where text begins in event, if it has one line
}

// endpointData returns the data of a complete event, if that is an endpoint event.
// White space around its name is ignored, as clients do.
func endpointData(event []byte) (data eventData, endpoint bool) {
	data.event = event
	for at := 0; at < len(event); {
		var name []byte
		var value Span
		name, value, at = nextField(event, at)
		switch string(name) {
		case "event":
			endpoint = string(bytes.Trim(value.Of(event), " \t")) == "endpoint" // the last counts
		case "data":
			data.add(value)
		}
	}
	return data, endpoint && data.lines > 0
}

// add adds a data line's value. Only a second one has to be copied.
func (d *eventData) add(value Span) {
	if d.lines++; d.lines == 1 {
		d.text, d.first = value.Of(d.event), value.Start
		return
	}
	text := append([]byte(nil), d.text...)
	d.text = append(append(text, '\n'), value.Of(d.event)...)
}

// offset returns where in the event the byte text[at] stands, or the end of a
// line.
func (d *eventData) offset(at int) int {
	if d.lines == 1 {
		return d.first + at
	}
	for next := 0; next < len(d.event); {
		var name []byte
		var value Span
		name, value, next = nextField(d.event, next)
		if string(name) != "data" {
			continue
		}
		if at <= value.Len() {
			return value.Start + at
		}
		at -= value.Len() + 1
	}
	return len(d.event)
}

// nextField reads the line of an event that begins at from. It returns the
// field's name, its value without the space that may come first, and where the
// next line begins. The LF of CRLF makes another line, which is empty and has no
// effect.
func nextField(event []byte, from int) (name []byte, value Span, next int) {
	end := from + lineLength(event[from:])
	line := event[from:end]
	value = Span{end, end}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return line, value, end + 1
	}
	value.Start = from + colon + 1
	if value.Len() > 0 && event[value.Start] == ' ' {
		value.Start++
	}
	return line[:colon], value, end + 1
}

// lineLength returns the length of the first line of p, without its line end.
func lineLength(p []byte) int {
	if n := bytes.IndexByte(p, '\n'); n >= 0 {
		p = p[:n]
	}
	if n := bytes.IndexByte(p, '\r'); n >= 0 {
		return n
	}
	return len(p)
}

// tagPoint is where the tag's parameter goes in the data of an endpoint event.
type tagPoint struct {
	at        int
	separator byte
}

// appendTagPoints appends where the tag goes in the data of an endpoint event: a
// URI reference, or JSON with one or several. There is none in other data.
func appendTagPoints(points []tagPoint, data []byte) []tagPoint {
	text := bytes.TrimLeft(data, white)
	start := len(data) - len(text)
	text = bytes.TrimRight(text, white)
	if len(text) > 0 && (text[0] == '{' || text[0] == '[' || text[0] == '"') {
		if json.Valid(text) {
			return appendJSONPoints(points, text, start)
		}
		return points
	}
	if !mayBeURI(text) {
		return points
	}
	if at, separator, ok := tagPlace(text); ok {
		points = append(points, tagPoint{start + at, separator})
	}
	return points
}

// mayBeURI reports whether those who read a URI reference take text for one (URL
// Standard, section 4.4): they ignore line feeds and tabs, and escape spaces, quotes and
// angle brackets. Text with such characters must begin like a URI, since it is prose
// otherwise.
func mayBeURI[T string | []byte](text T) bool {
	plain := true
	for i := range len(text) {
		switch b := text[i]; b {
		case '\n', '\t':
		case ' ', '"', '<', '>':
			plain = false
		default:
			if b < ' ' || b == 0x7f {
				return false
			}
		}
	}
	return len(text) > 0 && (plain || beginsURI(string(text)))
}

// beginsURI reports whether text shows by its beginning that it is a URI reference.
func beginsURI(text string) bool {
	return slices.ContainsFunc(uriBeginnings, func(begin string) bool { return strings.HasPrefix(text, begin) })
}

// appendJSONPoints appends where the tag goes in JSON, which is valid and begins
// at index start of the data: at every string that is a URI reference, since only
// the client knows which of them it uses.
func appendJSONPoints(points []tagPoint, text []byte, start int) []tagPoint {
	name := "" // of the member, "" for a value outside of objects
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		end := i + stringLength(text[i:])
		var value string
		_ = json.Unmarshal(text[i:end], &value) // a part of what is valid
		isName := bytes.HasPrefix(bytes.TrimLeft(text[end:], white), []byte(":"))
		switch {
		case isName:
			name = value
		case namesEndpoint(name, value):
			if at, separator, ok := jsonTagPlace(text[i:end]); ok {
				points = append(points, tagPoint{start + i + at, separator})
			}
		}
		i = end - 1
	}
	return points
}

// stringLength returns the length of the JSON string that p begins with, quotes
// included.
func stringLength(p []byte) int {
	for i := 1; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(p)
}

// jsonTagPlace is tagPlace for a JSON string, quotes included.
func jsonTagPlace(raw []byte) (at int, separator byte, ok bool) {
	separator = '?'
	last := len(raw) - 1
	for at = 1; at < last; {
		b, size := jsonCharacter(raw[at:])
		switch b {
		case '#':
			return at, separator, at > 1
		case '?':
			separator = '&'
		}
		at += size
	}
	return last, separator, last > 1
}

// jsonCharacter returns the first byte in a part of a valid JSON string, and how
// many bytes write it; 0 for a character that is not ASCII.
func jsonCharacter(p []byte) (b byte, size int) {
	if p[0] != '\\' {
		return p[0], 1
	}
	if p[1] != 'u' {
		return p[1], 2
	}
	unit := uint16(0)
	for _, c := range p[2:6] {
		digit, _ := hexDigit(c)
		unit = unit<<4 | digit
	}
	if unit >= 0x80 {
		return 0, 6
	}
	return byte(unit), 6
}

// uriNames are what names of members end with whose values are URI references,
// in lower case.
var uriNames = []string{"uri", "url", "endpoint", "href", "path", "location"}

// uriBeginnings are how URI references begin that show by themselves what they
// are.
var uriBeginnings = []string{"/", "?", "./", "../", "http://", "https://"}

// namesEndpoint reports whether a string in JSON, the value of the member called
// name, is a URI reference.
func namesEndpoint(name, value string) bool {
	if !mayBeURI(value) {
		return false
	}
	name = strings.ToLower(name)
	for _, end := range uriNames {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return name == "" || beginsURI(value) || hasQuery(value)
}

// hasQuery reports whether text has a query with a parameter, as only a URI reference has.
func hasQuery(text string) bool {
	_, query, _ := strings.Cut(text, "?")
	return strings.Contains(query, "=")
}
