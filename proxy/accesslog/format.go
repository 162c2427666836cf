package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// stamp turns times on the loops' clock into times of day.
type stamp struct {
	wall time.Time // when the loops' clock said mono
	mono int64
}

func (s *stamp) set(wall time.Time, mono int64) { s.wall, s.mono = wall, mono }

func (s *stamp) append(dst []byte, at int64) []byte {
	return s.wall.Add(time.Duration(at-s.mono)).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
}

// line is what both forms are written by: one method for each kind of value.
// A value that is not there writes nothing.
type line struct {
	dst  []byte
	json bool
}

// appendText appends the record as one line of key=value pairs, as slog's text
// form has them: a value is quoted where it is not plain.
func appendText(dst []byte, r *Record, s *stamp) []byte {
	l := line{dst: dst}
	l.record(r, s)
	return append(l.dst, '\n')
}

// appendJSON appends the record as one line, a JSON object.
func appendJSON(dst []byte, r *Record, s *stamp) []byte {
	l := line{dst: append(dst, '{'), json: true}
	l.record(r, s)
	return append(l.dst, '}', '\n')
}

// record writes the record's fields, always in this order.
func (l *line) record(r *Record, s *stamp) {
	var scratch [64]byte
	l.word("time", string(s.append(scratch[:0], r.Began)))
	if r.Client.IsValid() {
		l.word("client", string(r.Client.AppendTo(scratch[:0])))
	}
	l.word("frontend", r.Frontend)
	l.word("backend", r.Backend)
	l.word("server", r.Server)
	l.word("tls", r.TLS)
	l.request(r)
	l.milliseconds("request_ms", r.Request)
	l.milliseconds("queue_ms", r.Queue)
	l.milliseconds("connect_ms", r.Connect)
	l.milliseconds("response_ms", r.Response)
	l.milliseconds("total_ms", time.Duration(r.Ended-r.Began))
	l.number("bytes_in", r.BytesIn)
	l.number("bytes_out", r.BytesOut)
	if r.MessagesIn+r.MessagesOut > 0 {
		l.number("messages_in", r.MessagesIn)
		l.number("messages_out", r.MessagesOut)
	}
	l.word("reason", r.Reason)
	l.word("detail", r.Detail)
	l.word("phase", r.Phase.String())
	l.number("retries", uint64(max(r.Retries, 0)))
	l.number("frontend_conns", uint64(max(r.FrontendConns, 0)))
	l.number("server_conns", uint64(max(r.ServerConns, 0)))
}

// request writes what only requests have.
func (l *line) request(r *Record) {
	l.word("method", string(r.Method()))
	path := r.Path()
	if r.cut {
		path = append(path[:len(path):len(path)], "..."...)
	}
	l.word("path", string(path))
	if r.Status > 0 {
		l.number("status", uint64(r.Status))
	}
	l.word("era", r.Era)
	l.word("mcp_method", r.Call)
}

// key begins a pair.
func (l *line) key(name string) {
	switch last := len(l.dst) - 1; {
	case !l.json && (last < 0 || l.dst[last] == '\n'):
	case !l.json:
		l.dst = append(l.dst, ' ')
	case l.dst[last] != '{':
		l.dst = append(l.dst, ',')
	}
	if l.json {
		l.dst = append(append(append(l.dst, '"'), name...), '"', ':')
	} else {
		l.dst = append(append(l.dst, name...), '=')
	}
}

func (l *line) number(name string, n uint64) {
	l.key(name)
	l.dst = strconv.AppendUint(l.dst, n, 10)
}

// milliseconds writes a duration, exactly to the microsecond.
func (l *line) milliseconds(name string, d time.Duration) {
	if d < 0 {
		return
	}
	l.key(name)
	us := uint64(d.Microseconds())
	l.dst = strconv.AppendUint(l.dst, us/1000, 10)
	l.dst = append(l.dst, '.', '0'+byte(us/100%10), '0'+byte(us/10%10), '0'+byte(us%10))
}

func (l *line) word(name, value string) {
	if value == "" {
		return
	}
	l.key(name)
	switch {
	case l.json:
		l.dst = appendJSONString(l.dst, value)
	case plain(value):
		l.dst = append(l.dst, value...)
	default:
		l.dst = strconv.AppendQuote(l.dst, value)
	}
}

// plain tells whether a value needs no quotes: visible ASCII, without what has
// a meaning in a line.
func plain(value string) bool {
	for i := range len(value) {
		if b := value[i]; b <= ' ' || b >= utf8.RuneSelf-1 || b == '"' || b == '=' || b == '\\' {
			return false
		}
	}
	return true
}

// appendJSONString appends value as a JSON string (RFC 8259 section 7). What
// cannot be shown is escaped, and what is no UTF-8 becomes U+FFFD.
func appendJSONString(dst []byte, value string) []byte {
	dst = append(dst, '"')
	for _, c := range value {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c == utf8.RuneError || !strconv.IsPrint(c):
			dst = appendEscaped(dst, c)
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return append(dst, '"')
}

// appendEscaped appends \uXXXX, or two of them where one does not suffice.
func appendEscaped(dst []byte, c rune) []byte {
	if c > 0xFFFF {
		c -= 0x10000
		dst = appendEscaped(dst, 0xD800+c>>10)
		return appendEscaped(dst, 0xDC00+c&0x3FF)
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
}
