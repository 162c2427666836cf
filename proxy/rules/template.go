package rules

import (
	"net/netip"
	"strconv"
	"strings"

	"mcplb/conf"
)

// Values are what the names in a Template stand for. What is empty, or the zero
// value, is written as nothing.
type Values struct {
	Client         netip.AddrPort // {client_ip}, {client_port}
	Host           []byte         // {host} as the client sent it, {hostname} without port
	Method         []byte
	Path           []byte // as it came
	Query          []byte // without "?"; nil = there is none
	Scheme         string // "http" or "https"
	Frontend       string
	Backend        string
	Server         string
	RequestID      []byte
	TLSVersion     string
	TLSSubject     string
	TLSFingerprint string
	MCPMethod      []byte
	MCPName        []byte // decoded
}

// Template is a text with {names}, ready to be written: see conf.SplitTemplate. The
// zero value is the empty text. It is immutable.
type Template struct {
	parts []part
}

// part is a piece of a template: text, or what a function appends.
type part struct {
	text   string
	append func(dst []byte, v *Values) []byte // nil = text
}

// NewTemplate makes a template of a text that conf has accepted. It panics on
// another one.
func NewTemplate(text string) Template {
	split, err := conf.SplitTemplate(text)
	if err != nil {
		panic("rules: template " + strconv.Quote(text) + ": " + err.Error())
	}
	var t Template
	for _, p := range split {
		last := len(t.parts) - 1
		switch {
		case p.Name == "":
			t.parts = append(t.parts, part{text: p.Text})
		case p.Name == "query" && last >= 0 && strings.HasSuffix(t.parts[last].text, "?"):
			t.parts[last].text = strings.TrimSuffix(t.parts[last].text, "?")
			t.parts = append(t.parts, part{append: appendMarkedQuery})
		default:
			t.parts = append(t.parts, part{append: names[p.Name]})
		}
	}
	return t
}

// Append appends the text with the values in place of the names. No value can end
// a header's line: what is a control character, CR, LF and NUL among them, is left
// out; a tab becomes a space.
func (t Template) Append(dst []byte, v *Values) []byte {
	for _, p := range t.parts {
		if p.append == nil {
			dst = append(dst, p.text...)
			continue
		}
		start := len(dst)
		dst = p.append(dst, v)
		dst = withoutControls(dst, start)
	}
	return dst
}

// withoutControls removes control characters from dst[start:].
func withoutControls(dst []byte, start int) []byte {
	kept := start
	for _, c := range dst[start:] {
		if c == '\t' {
			c = ' '
		}
		if c >= ' ' && c != 0x7f {
			dst[kept] = c
			kept++
		}
	}
	return dst[:kept]
}

// names are the names of conf.TemplateNames, and what each appends.
var names = map[string]func(dst []byte, v *Values) []byte{
	"client_ip":       appendClientIP,
	"client_port":     appendClientPort,
	"host":            func(dst []byte, v *Values) []byte { return append(dst, v.Host...) },
	"hostname":        func(dst []byte, v *Values) []byte { return appendHostname(dst, v.Host) },
	"method":          func(dst []byte, v *Values) []byte { return append(dst, v.Method...) },
	"path":            func(dst []byte, v *Values) []byte { return append(dst, v.Path...) },
	"query":           func(dst []byte, v *Values) []byte { return append(dst, v.Query...) },
	"uri":             appendURI,
	"scheme":          func(dst []byte, v *Values) []byte { return append(dst, v.Scheme...) },
	"frontend":        func(dst []byte, v *Values) []byte { return append(dst, v.Frontend...) },
	"backend":         func(dst []byte, v *Values) []byte { return append(dst, v.Backend...) },
	"server":          func(dst []byte, v *Values) []byte { return append(dst, v.Server...) },
	"request_id":      func(dst []byte, v *Values) []byte { return append(dst, v.RequestID...) },
	"tls_version":     func(dst []byte, v *Values) []byte { return append(dst, v.TLSVersion...) },
	"tls_subject":     func(dst []byte, v *Values) []byte { return append(dst, v.TLSSubject...) },
	"tls_fingerprint": func(dst []byte, v *Values) []byte { return append(dst, v.TLSFingerprint...) },
	"mcp_method":      func(dst []byte, v *Values) []byte { return append(dst, v.MCPMethod...) },
	"mcp_name":        func(dst []byte, v *Values) []byte { return append(dst, v.MCPName...) },
}

func appendClientIP(dst []byte, v *Values) []byte {
	if !v.Client.IsValid() {
		return dst
	}
	return v.Client.Addr().AppendTo(dst)
}

// appendHostname appends a host in lower case, without port and trailing dots; an address of
// IPv6 keeps its brackets, so that a port may follow.
func appendHostname(dst, host []byte) []byte {
	bare := len(host) > 0 && host[0] == '['
	if bare {
		dst = append(dst, '[')
	}
	dst = appendHost(dst, host)
	if bare {
		dst = append(dst, ']')
	}
	return dst
}

// appendClientPort appends nothing where a trusted proxy named the client without
// a port.
func appendClientPort(dst []byte, v *Values) []byte {
	if v.Client.Port() == 0 {
		return dst
	}
	return strconv.AppendUint(dst, uint64(v.Client.Port()), 10)
}

// appendMarkedQuery is "?{query}": a request without a query gets no "?".
func appendMarkedQuery(dst []byte, v *Values) []byte {
	if len(v.Query) == 0 {
		return dst
	}
	return append(append(dst, '?'), v.Query...)
}

// appendURI appends the path and the query as they came.
func appendURI(dst []byte, v *Values) []byte {
	dst = append(dst, v.Path...)
	if v.Query != nil {
		dst = append(append(dst, '?'), v.Query...)
	}
	return dst
}
