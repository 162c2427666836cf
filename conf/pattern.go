package conf

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"
)

// The patterns in the conditions of a route. None is a regular expression: a "*"
// stands at one end only, or nowhere.

// noRegular is the error for a value that is meant as a regular expression.
const noRegular = "; conditions are no regular expressions"

// looksRegular reports whether s has what only a regular expression has.
func looksRegular(s string) bool {
	return strings.HasPrefix(s, "^") || strings.HasPrefix(s, "~") || strings.HasSuffix(s, "$") ||
		strings.Contains(s, ".*") || strings.Contains(s, ".+") || strings.Contains(s, `\`) ||
		strings.HasPrefix(s, "(") && strings.Contains(s, "|")
}

// hostPattern is a host of a route: a name, "*." and a name, or an address.
var hostPattern = word(`a host, such as "mcp.example.com" or "*.example.com"`, checkHostPattern)

func checkHostPattern(s string) (string, error) {
	const example = `such as "mcp.example.com" or "*.example.com"`
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")); err == nil && addr.Zone() == "" {
		return addr.String(), nil
	}
	rest := strings.TrimPrefix(name, "*.")
	host, port, hasPort := strings.Cut(name, ":")
	switch {
	case name == "*":
		return "", errors.New(`must be a host, not "*": to match every host, leave the key out`)
	case strings.Contains(s, "://"):
		return "", fmt.Errorf("%s is a URL: write the host alone, %s", quoted(s), example)
	case hasPort && isHostName(strings.TrimPrefix(host, "*.")) && strings.Trim(port, "0123456789*") == "":
		return "", fmt.Errorf("%s has a port: write %q, since hosts are compared without their ports", quoted(s), host)
	case looksRegular(s):
		return "", fmt.Errorf(`%s is no host, %s%s; "*." at the beginning is any number of labels`, quoted(s), example, noRegular)
	case strings.Contains(rest, "*"):
		return "", fmt.Errorf(`%s has a star in a place where it means nothing: "*." may stand at the beginning, for any number of labels`, quoted(s))
	case !isASCII(name):
		return "", fmt.Errorf("%s is not in ASCII: write it as clients send it, in Punycode (xn--...)", quoted(s))
	case !isHostName(rest):
		return "", fmt.Errorf("must be a host, %s, not %s", example, quoted(s))
	}
	return name, nil
}

// routePath is a path of a route.
var routePath = word(`a path, such as "/mcp"`, func(s string) (string, error) {
	if looksRegular(s) {
		return "", fmt.Errorf(`must be a path that begins with a slash, such as "/mcp", not %s%s: path is a prefix of whole segments, path_exact is one path`, quoted(s), noRegular)
	}
	if _, err := checkURLPath(s); err != nil {
		return "", err
	}
	if end := strings.TrimRight(s, "*"); end != s && strings.HasSuffix(end, "/") {
		return "", fmt.Errorf("must be a path without a star at its end, not %s: a path is a prefix already, so write %q", quoted(s), max(strings.TrimSuffix(end, "/"), "/"))
	}
	if wrong := wrongInPath(s); wrong != "" {
		return "", fmt.Errorf("has %s, and requests that have that are refused: %s would match nothing", wrong, quoted(s))
	}
	return s, nil
})

// wrongInPath says for what a request with the path would be refused, or "".
func wrongInPath(s string) string {
	decoded, err := url.PathUnescape(s)
	switch {
	case err != nil:
		return `a "%" that begins no escape`
	case hasControls(decoded):
		return "an escaped control character"
	case strings.Contains(s, `\`):
		return "a backslash"
	case overlong(decoded):
		return "overlong UTF-8"
	}
	return ""
}

// overlong reports whether s has a byte sequence that is a character in overlong
// UTF-8 to a careless decoder.
func overlong(s string) bool {
	for i := 0; i+1 < len(s); i++ {
		switch c, next := s[i], s[i+1]; {
		case c == 0xc0, c == 0xc1, c == 0xe0 && next>>5 == 0x4, c == 0xf0 && next>>4 == 0x8, c == 0xf8 && next>>3 == 0x10, c == 0xfc && next>>2 == 0x20:
			return true
		}
	}
	return s != "" && (s[len(s)-1] == 0xc0 || s[len(s)-1] == 0xc1)
}

// routeMethod is an HTTP method.
var routeMethod = word(`a method, such as "POST"`, func(s string) (string, error) {
	if s == "*" {
		return "", errors.New(`must be a method, such as "POST", not "*": to match every method, leave the key out`)
	}
	return checkMethodName(s)
})

// checkStar returns an error unless a star stands nowhere in s but at its end.
func checkStar(s string) error {
	switch {
	case s == "":
		return errors.New(`must not be empty`)
	case !utf8.ValidString(s) || hasControls(s):
		return fmt.Errorf("must be a text without control characters, not %s", quoted(s))
	case strings.HasPrefix(s, "^"), strings.Contains(s, ".*"), strings.Contains(s, ".+"), strings.Contains(s, `\d`), strings.Contains(s, `\w`), strings.Contains(s, `\.`):
		return fmt.Errorf(`is %s%s: a "*" may stand at the end, for any rest`, quoted(s), noRegular)
	case strings.Contains(s[:len(s)-1], "*"):
		return fmt.Errorf(`has a star in its middle (%s): one may stand at the end, for any rest`, quoted(s))
	}
	return nil
}

// valuePattern is the value of a header, or its beginning and "*".
var valuePattern = word(`a value, such as "a" or "b*"`, func(s string) (string, error) {
	if s != strings.TrimSpace(s) {
		return "", fmt.Errorf("has a space at an end (%s): servers do not see it there, so leave it out", quoted(s))
	}
	if s == "*" {
		return "", errors.New(`must be a value, not "*": for any value, write an empty list, []`)
	}
	return s, checkStar(s)
})

// mcpMethod is a method of MCP, or "prefix/*".
var mcpMethod = word(`a method of MCP, such as "tools/call" or "tools/*"`, func(s string) (string, error) {
	if err := checkStar(s); err != nil {
		return "", err
	}
	if name, star := strings.CutSuffix(s, "*"); star && name != "" && !strings.HasSuffix(name, "/") {
		return "", fmt.Errorf(`must be a method of MCP, such as "tools/call", or a prefix that ends with a slash and "*", such as "tools/*", not %s`, quoted(s))
	}
	if strings.ContainsAny(s, " \t") {
		return "", fmt.Errorf("must be a method of MCP without spaces, such as \"tools/call\", not %s", quoted(s))
	}
	return s, nil
})

// mcpName is the name of a tool, a resource or a prompt, or its beginning and "*".
var mcpName = word(`a name, such as "echo" or "delete_*"`, func(s string) (string, error) { return s, checkStar(s) })

// checkMatchedField returns an error unless name is that of a header on which a
// condition may depend.
func checkMatchedField(name string) error {
	switch {
	case !isToken(name):
		return fmt.Errorf(`is not the name of a header, such as "X-Tenant"`)
	case strings.EqualFold(name, "Host"):
		return errors.New("is a condition of its own: write host, which knows ports, trailing dots and upper case")
	case strings.EqualFold(name, "Mcp-Method"), strings.EqualFold(name, "Mcp-Name"):
		return errors.New("says what the client claims: write mcp_method or mcp_name, which hold for what servers read")
	}
	return nil
}

const (
	hopByHop  = "belongs to one connection alone, and the balancer writes it itself"
	framing   = "says how the body is to be read, and the balancer writes it itself"
	handshake = "belongs to the handshake of a WebSocket, which client and server agree on"
	ofMCP     = "is MCP's own, and client and server agree on it"
)

// fixedFields are the headers that routes must leave alone, in lower case and with
// "-" for "_", each with the reason.
var fixedFields = map[string]string{
	"connection": hopByHop, "keep-alive": hopByHop, "proxy-connection": hopByHop, "te": hopByHop, "trailer": hopByHop, "upgrade": hopByHop,
	"proxy-authenticate": hopByHop, "proxy-authorization": hopByHop, "proxy-authentication-info": hopByHop,
	"http2-settings": hopByHop, "sec-websocket-key": handshake, "sec-websocket-accept": handshake, "sec-websocket-extensions": handshake, "sec-websocket-version": handshake,
	"content-length": framing, "transfer-encoding": framing, "content-encoding": framing, "expect": framing,
	"mcp-session-id": ofMCP, "mcp-protocol-version": ofMCP, "mcp-method": ofMCP, "mcp-name": ofMCP, "last-event-id": ofMCP,
}

// checkChangeable returns an error unless a route may change the header called
// name.
func checkChangeable(name string) error {
	lower := strings.ReplaceAll(strings.ToLower(name), "_", "-") // some servers take one for the other
	reason := fixedFields[lower]
	if strings.HasPrefix(lower, "mcp-param-") {
		reason = ofMCP
	}
	switch {
	case !isToken(name):
		return errors.New(`is not the name of a header, such as "X-Real-IP"`)
	case reason != "":
		return fmt.Errorf("must be left alone: %s %s", name, reason)
	}
	return nil
}

// changeableField is the name of a header that a route may remove.
var changeableField = word(`the name of a header, such as "Server"`, func(s string) (string, error) { return s, checkChangeable(s) })
