package conf

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// checkURLPath returns s, or an error unless it is a path.
func checkURLPath(s string) (string, error) {
	if !strings.HasPrefix(s, "/") {
		return "", fmt.Errorf("must be a path that begins with a slash, such as \"/mcp\", not %s", quoted(s))
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '?' || r == '#' }) {
		return "", fmt.Errorf("must be a path of visible ASCII characters without ? and #, not %s", quoted(s))
	}
	return s, nil
}

// canonicalPath returns the path as routes are compared with requests: unreserved
// characters decoded, dot segments resolved, slashes merged, none at the end. Two
// routes with the same canonical path match the same requests.
func canonicalPath(s string) string {
	return path.Clean(escape.ReplaceAllStringFunc(s, func(e string) string {
		c, err := url.PathUnescape(e)
		if err != nil || strings.Trim(c, "-._~") != "" && !isLetterOrDigit(c[0]) {
			return strings.ToUpper(e)
		}
		return c
	}))
}

// escape is an escape in a path.
var escape = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// isToken reports whether s is a token of HTTP (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !isLetterOrDigit(s[i]) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(s[i])) {
			return false
		}
	}
	return s != ""
}

// fieldName is the name of an HTTP field, or "*".
var fieldName = word(`the name of a header, such as "Content-Type"`, func(s string) (string, error) {
	if !isToken(s) {
		return "", fmt.Errorf("must be the name of a header, such as \"Content-Type\", not %s", quoted(s))
	}
	return s, nil
})

// methodName is an HTTP method, or "*". Methods are case-sensitive.
var methodName = word(`a method, such as "POST"`, checkMethodName)

// checkMethodName returns s, or an error unless it is a method.
func checkMethodName(s string) (string, error) {
	switch {
	case !isToken(s):
		return "", fmt.Errorf("must be a method, such as \"POST\", not %s", quoted(s))
	case s != strings.ToUpper(s):
		return "", fmt.Errorf("must be in upper case, since methods are case-sensitive: write %q", strings.ToUpper(s))
	}
	return s, nil
}

// cookieName is a cookie's name (RFC 6265 section 4.1.1), or "" for none.
var cookieName = word(`a cookie's name, such as "SERVERID", or "" for off`, func(s string) (string, error) {
	if s != "" && !isToken(s) {
		return "", fmt.Errorf("must be a cookie's name of letters, digits and !#$%%&'*+-.^_`|~ (no space, no semicolon), or \"\" for off, not %s", quoted(s))
	}
	return s, nil
})

// cookieAttributes is the text after a cookie's value in Set-Cookie (RFC 6265
// section 4.1.1, and Partitioned), in the form "Path=/; HttpOnly".
var cookieAttributes = word(`a cookie's attributes, such as "Path=/; HttpOnly"`, func(s string) (string, error) {
	var seen []string
	for attribute := range strings.SplitSeq(s, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(attribute), "=")
		if name == "" && s == "" {
			return s, nil
		}
		if err := checkAttribute(name, value); err != nil {
			return "", err
		}
		if slices.Contains(seen, strings.ToLower(name)) {
			return "", fmt.Errorf("has %s twice: leave one out", name)
		}
		seen = append(seen, strings.ToLower(name))
	}
	return s, nil
})

// attributeNames are the attributes of a cookie that a balancer may set. Expires
// is a fixed time, so Max-Age is used instead.
var attributeNames = []string{"Path", "Domain", "Max-Age", "HttpOnly", "SameSite", "Secure", "Partitioned"}

func checkAttribute(name, value string) error {
	if name == "" {
		return errors.New("has a semicolon with no attribute beside it: leave that out")
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' }) {
		return fmt.Errorf("has the value %s for %s: it must be visible ASCII without spaces and commas", quoted(value), name)
	}
	switch strings.ToLower(name) {
	case "path":
		if !strings.HasPrefix(value, "/") {
			return fmt.Errorf("has %s for Path: it must begin with a slash, such as Path=/", quoted(value))
		}
	case "domain":
		if !isHostName(strings.TrimPrefix(value, ".")) {
			return fmt.Errorf("has %s for Domain: it must be a host name, such as Domain=example.com", quoted(value))
		}
	case "max-age":
		if value == "" || len(value) > 10 || strings.Trim(value, "0123456789") != "" {
			return fmt.Errorf("has %s for Max-Age: it must be a number of seconds, such as Max-Age=3600", quoted(value))
		}
	case "samesite":
		if !slices.Contains([]string{"strict", "lax", "none"}, strings.ToLower(value)) {
			return fmt.Errorf("has %s for SameSite: it must be Strict, Lax or None", quoted(value))
		}
	case "httponly", "secure", "partitioned":
		if value != "" {
			return fmt.Errorf("has a value for %s, which takes none", name)
		}
	default:
		return fmt.Errorf("has the attribute %s; the attributes are %s, between semicolons%s",
			quoted(name), enumerate(attributeNames, "and"), didYouMean(name, attributeNames))
	}
	return nil
}

// origin is what a browser sends as Origin: scheme, host and a port that is not
// the scheme's default (RFC 6454 section 6.2), or "null".
var origin = word(`an origin, such as "https://app.example.com"`, func(s string) (string, error) {
	const example = `such as "https://app.example.com" or "http://localhost:5173"`
	if s == "null" {
		return s, nil
	}
	if s == "*" {
		return "", fmt.Errorf(`cannot be "*": to allow every origin, leave the list empty; then the server decides`)
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || s != strings.ToLower(u.Scheme+"://"+u.Host) {
		return "", fmt.Errorf("must be a scheme and a host in lower case, with nothing after them, %s, not %s", example, quoted(s))
	}
	port := u.Port()
	if strings.HasSuffix(u.Host, ":") || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		return "", fmt.Errorf("never matches: browsers leave out the scheme's default port, so write %q", u.Scheme+"://"+strings.TrimSuffix(u.Host, ":"+port))
	}
	return s, nil
})

// mediaType is a media type without parameters (RFC 9110 section 8.3.1), in
// lower case, that may be compressed.
var mediaType = word(`a media type, such as "application/json"`, func(s string) (string, error) {
	main, subtype, _ := strings.Cut(s, "/")
	if !isToken(main) || !isToken(subtype) || strings.Contains(s, "*") {
		return "", fmt.Errorf("must be a media type without wildcards and parameters, such as \"application/json\", not %s", quoted(s))
	}
	if strings.EqualFold(s, "text/event-stream") {
		return "", fmt.Errorf("must not be %s: an event stream is never compressed, since that would delay its events", quoted(s))
	}
	return strings.ToLower(s), nil
})
