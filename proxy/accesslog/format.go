package accesslog

import (
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// stamp converts times on the loops' clock to UTC in RFC 3339 form. It formats
// each second once, for all records that began in it.
type stamp struct {
	wall   time.Time // the time at which the loops' clock was mono
	mono   int64
	second int64  // the Unix time of text
	text   []byte // without the fraction; nil = none yet
}

func (s *stamp) set(wall time.Time, mono int64) { s.wall, s.mono = wall, mono }

func (s *stamp) append(dst []byte, at int64) []byte {
	ms := s.wall.UnixMilli() + (at-s.mono)/1e6
	if second := ms / 1000; s.text == nil || second != s.second {
		s.second, s.text = second, time.Unix(second, 0).UTC().AppendFormat(s.text[:0], "2006-01-02T15:04:05.")
	}
	return append(appendThousandths(append(dst, s.text...), uint64(ms%1000)), 'Z')
}

// appendThousandths appends three digits.
func appendThousandths(dst []byte, n uint64) []byte {
	return append(dst, '0'+byte(n/100%10), '0'+byte(n/10%10), '0'+byte(n%10))
}

// line writes either form, with one method for each type of value. An absent
// value writes nothing.
type line struct {
	dst  []byte
	form form
}

// form is text or JSON, as an index into a key's two forms.
type form int

const (
	inText form = iota
	inJSON
)

// key is a key in both forms, with the separators before and after it.
type key [2]string

func named(name string) key { return key{" " + name + "=", `,"` + name + `":`} }

// The keys, in the order of a line. The first has no separator before it.
var (
	keyTime          = key{"time=", `"time":`}
	keyClient        = named("client")
	keyProxy         = named("proxy")
	keyFrontend      = named("frontend")
	keyBackend       = named("backend")
	keyServer        = named("server")
	keyTLS           = named("tls")
	keyProtocol      = named("protocol")
	keySubject       = named("tls_subject")
	keyFingerprint   = named("tls_fingerprint")
	keySNI           = named("sni")
	keyMethod        = named("method")
	keyPath          = named("path")
	keyStatus        = named("status")
	keyEra           = named("era")
	keyCall          = named("mcp_method")
	keyRequestID     = named("request_id")
	keyName          = named("mcp_name")
	keyRequest       = named("request_ms")
	keyQueue         = named("queue_ms")
	keyConnect       = named("connect_ms")
	keyResponse      = named("response_ms")
	keyTotal         = named("total_ms")
	keyBytesIn       = named("bytes_in")
	keyBytesOut      = named("bytes_out")
	keyMessagesIn    = named("messages_in")
	keyMessagesOut   = named("messages_out")
	keyReason        = named("reason")
	keyDetail        = named("detail")
	keyPhase         = named("phase")
	keyRetries       = named("retries")
	keyFrontendConns = named("frontend_conns")
	keyServerConns   = named("server_conns")
)

// appendText appends the record as one line of key=value pairs, as slog's text
// format: a value is quoted unless it is plain.
func appendText(dst []byte, r *Record, s *stamp) []byte {
	l := line{dst: dst}
	l.record(r, s)
	return append(l.dst, '\n')
}

// appendJSON appends the record as one line, a JSON object.
func appendJSON(dst []byte, r *Record, s *stamp) []byte {
	l := line{dst: append(dst, '{'), form: inJSON}
	l.record(r, s)
	return append(l.dst, '}', '\n')
}

// record writes the record's fields, always in this order.
func (l *line) record(r *Record, s *stamp) {
	l.plain(keyTime, func(dst []byte) []byte { return s.append(dst, r.Began) })
	if r.Client.IsValid() {
		l.plain(keyClient, func(dst []byte) []byte { return appendClient(dst, r.Client) })
	}
	if r.Proxy.IsValid() {
		l.plain(keyProxy, r.Proxy.AppendTo)
	}
	l.word(keyFrontend, r.Frontend)
	l.word(keyBackend, r.Backend)
	l.word(keyServer, r.Server)
	l.word(keyTLS, r.TLS)
	if r.HTTP2 {
		l.word(keyProtocol, "h2")
	}
	if id := r.Identity; id != nil {
		l.word(keySubject, id.Subject)
		l.word(keyFingerprint, id.Fingerprint)
	}
	l.request(r)
	l.milliseconds(keyRequest, r.Request)
	l.milliseconds(keyQueue, r.Queue)
	l.milliseconds(keyConnect, r.Connect)
	l.milliseconds(keyResponse, r.Response)
	l.milliseconds(keyTotal, time.Duration(r.Ended-r.Began))
	l.number(keyBytesIn, r.BytesIn)
	l.number(keyBytesOut, r.BytesOut)
	if r.MessagesIn+r.MessagesOut > 0 {
		l.number(keyMessagesIn, r.MessagesIn)
		l.number(keyMessagesOut, r.MessagesOut)
	}
	l.word(keyReason, r.Reason)
	l.word(keyDetail, r.Detail)
	l.word(keyPhase, r.Phase.String())
	l.number(keyRetries, uint64(max(r.Retries, 0)))
	l.number(keyFrontendConns, uint64(max(r.FrontendConns, 0)))
	l.number(keyServerConns, uint64(max(r.ServerConns, 0)))
}

// appendClient writes an address with its port, or alone if that is not known.
func appendClient(dst []byte, client netip.AddrPort) []byte {
	if client.Port() == 0 {
		return client.Addr().AppendTo(dst)
	}
	return client.AppendTo(dst)
}

// request writes the fields that only requests have, or that of a connection in their place.
func (l *line) request(r *Record) {
	if r.Target.method == 0 && r.Target.path == 0 && r.Status == 0 {
		l.word(keySNI, string(r.Name))
		return
	}
	l.word(keyMethod, string(r.Method()))
	path := r.Path()
	if r.Target.cut {
		path = append(path[:len(path):len(path)], "..."...)
	}
	l.word(keyPath, string(path))
	if r.Status > 0 {
		l.number(keyStatus, uint64(r.Status))
	}
	l.word(keyEra, r.Era)
	l.word(keyCall, r.Call)
	l.word(keyName, string(r.Name))
	l.word(keyRequestID, string(r.RequestID))
}

func (l *line) number(k key, n uint64) {
	l.dst = strconv.AppendUint(append(l.dst, k[l.form]...), n, 10)
}

// milliseconds writes a duration, exactly to the microsecond.
func (l *line) milliseconds(k key, d time.Duration) {
	if d < 0 {
		return
	}
	us := uint64(d.Microseconds())
	l.number(k, us/1000)
	l.dst = appendThousandths(append(l.dst, '.'), us%1000)
}

// plain writes a value that needs no escaping.
func (l *line) plain(k key, value func([]byte) []byte) {
	l.dst = append(l.dst, k[l.form]...)
	if l.form == inText {
		l.dst = value(l.dst)
		return
	}
	l.dst = append(value(append(l.dst, '"')), '"')
}

func (l *line) word(k key, value string) {
	if value == "" {
		return
	}
	l.dst = append(l.dst, k[l.form]...)
	switch {
	case l.form == inJSON:
		l.dst = appendJSONString(l.dst, value)
	case plain(value):
		l.dst = append(l.dst, value...)
	default:
		l.dst = strconv.AppendQuote(l.dst, value)
	}
}

// plain reports whether a value needs no quotes: visible ASCII, without
// characters that have a meaning in a line.
func plain(value string) bool {
	for i := range len(value) {
		if b := value[i]; b <= ' ' || b >= utf8.RuneSelf-1 || b == '"' || b == '=' || b == '\\' {
			return false
		}
	}
	return true
}

// appendJSONString appends value as a JSON string (RFC 8259 section 7).
// Characters that cannot be displayed are escaped, and invalid UTF-8 becomes
// U+FFFD.
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

// appendEscaped appends an escaped UTF-16 unit, or a surrogate pair of them.
func appendEscaped(dst []byte, c rune) []byte {
	if c > 0xFFFF {
		c -= 0x10000
		dst = appendEscaped(dst, 0xD800+c>>10)
		return appendEscaped(dst, 0xDC00+c&0x3FF)
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
}
