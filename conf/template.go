package conf

import (
	"fmt"
	"slices"
	"strings"
)

// TemplateNames are the names that may stand in braces in the headers of a route
// and in the target of its redirect.
var TemplateNames = []string{
	"client_ip", "client_port", "host", "hostname", "method", "path", "query", "uri", "scheme", "frontend", "backend", "server", "request_id",
	"tls_version", "tls_subject", "tls_fingerprint", "mcp_method", "mcp_name",
}

// TemplatePart is a piece of a template: text, or a name whose value is to stand
// there.
type TemplatePart struct {
	Text string
	Name string // one of TemplateNames; "" = Text
}

// SplitTemplate splits a text with {names} into its parts, of which no two that
// follow each other are text. "{{" is a brace; "}" outside a name is one, too.
// The error says what is wrong, and what is allowed.
func SplitTemplate(s string) (parts []TemplatePart, err error) {
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, TemplatePart{Text: text.String()})
			text.Reset()
		}
	}
	for s != "" {
		brace := strings.IndexByte(s, '{')
		if brace < 0 {
			text.WriteString(s)
			break
		}
		text.WriteString(s[:brace])
		if s = s[brace+1:]; strings.HasPrefix(s, "{") {
			text.WriteByte('{')
			s = s[1:]
			continue
		}
		name, rest, closed := strings.Cut(s, "}")
		if err := checkTemplateName(name, closed); err != nil {
			return nil, err
		}
		flush()
		parts = append(parts, TemplatePart{Name: name})
		s = rest
	}
	flush()
	return parts, nil
}

// checkTemplateName returns an error unless name stands for a value.
func checkTemplateName(name string, closed bool) error {
	switch {
	case !closed:
		return fmt.Errorf(`has "{" without "}": a name stands in braces, such as {host}, and a brace that is meant is written "{{"`)
	case !slices.Contains(TemplateNames, name):
		return fmt.Errorf(`has {%s}, which is no name%s; the names are %s, and a brace that is meant is written "{{"`,
			name, didYouMean(name, TemplateNames), enumerate(TemplateNames, "and"))
	}
	return nil
}

// template is a text with {names}.
var template = word(`a text with names such as {client_ip}`, func(s string) (string, error) {
	if hasControls(s) {
		return "", fmt.Errorf("must be a text without control characters, not %s", quoted(s))
	}
	_, err := SplitTemplate(s)
	return s, err
})
