package conf

import (
	"fmt"
	"regexp"
	"strings"
)

// wrongEncoding returns what text is encoded in, if that is not UTF-8 but an encoding that
// editors offer under the name of Unicode, or "". Bytes of 0 give it away, since the text
// of a configuration is mostly ASCII.
func wrongEncoding(text string) string {
	head := text[:min(len(text), 256)]
	zero := func(i int) bool { return i < len(head) && head[i] == 0 }
	switch {
	case strings.HasPrefix(head, "\xff\xfe\x00\x00"), strings.HasPrefix(head, "\x00\x00\xfe\xff"),
		zero(0) && zero(1) && zero(2) && !zero(3), zero(1) && zero(2) && zero(3) && !zero(0):
		return "UTF-32"
	case strings.HasPrefix(head, "\xff\xfe"), strings.HasPrefix(head, "\xfe\xff"),
		zero(0) && !zero(1) && zero(2), zero(1) && !zero(0) && zero(3):
		return "UTF-16"
	}
	return ""
}

// binaryHint returns what to say of a file that is no text at all, such as a program,
// an archive or a picture, or "": the encoding would be the wrong thing to change.
func binaryHint(text string) string {
	for _, c := range []byte(text[:min(len(text), 1024)]) {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b {
			return "the file is no text (a program, an archive, a picture?), and mcplb reads TOML: packaging/lb.toml is a complete file"
		}
	}
	return ""
}

// foreignFormat is a format that a file may have by mistake, and what shows it.
type foreignFormat struct {
	name  string // with its article
	shows *regexp.Regexp
}

// foreignFormats are tried in this order. None matches a line that may stand in a TOML
// document, so that a document with one mistake is not taken for something else.
var foreignFormats = []foreignFormat{
	{"a certificate or key (PEM)", regexp.MustCompile(`\A-----BEGIN `)},
	{"a script", regexp.MustCompile(`\A#!`)},
	{"a JSON document", regexp.MustCompile(`\A\s*(\{|\[\s*[\[{])\s*("|\}|$)`)},
	{"an XML document", regexp.MustCompile(`\A\s*<[?!a-zA-Z]`)},
	{"an nginx configuration", regexp.MustCompile(`(?m)^\s*(((http|events|stream|server|upstream\s+\S+|location\s+[^{=]+)\s*\{)|((user|worker_processes|include|listen|proxy_pass|error_log|pid)\s+[^=\[{]*;))`)},
	{"an HAProxy configuration", regexp.MustCompile(`(?m)^\s*((global|defaults|userlist\s+\S+|peers\s+\S+|resolvers\s+\S+|(frontend|backend|listen)\s+[\w.:-]+)(\s+from\s+\S+)?\s*(#.*)?$)`)},
	{"a Caddyfile", regexp.MustCompile(`(?m)^[^\s=#"'\[]+\s*\{\s*(#.*)?$`)},
	{"a YAML document", regexp.MustCompile(`(?m)(\A\s*---\s*$|^\s*(- )?[\w./-]+:(\s+[^=\s].*)?\s*$|^\s*- \S)`)},
	{"an INI file", regexp.MustCompile(`(?m)^\s*;`)},
}

// formatOf returns the format of a text that is no TOML, with its article, or "".
func formatOf(text string) string {
	const longest = 64 << 10
	text = strings.ReplaceAll(text[:min(len(text), longest)], "\r\n", "\n")
	if looksLikeTOML(text) {
		return ""
	}
	for _, format := range foreignFormats {
		if format.shows.MatchString(text) {
			return format.name
		}
	}
	return ""
}

// tomlLine is a line that only a TOML document of this program has: one of its tables,
// or a string in quotes as a value.
var tomlLine = regexp.MustCompile(`(?m)^\s*(\[\[?\s*(admin|ratelimit|resolver|fleet|(frontend|backend)\.[^\]]+)\s*\]|[\w-]+\s*=\s*["'\[])`)

func looksLikeTOML(text string) bool { return tomlLine.MatchString(text) }

// foreignHint is what a message about a syntax error says of the format, or "".
func foreignHint(text string) string {
	name := formatOf(text)
	if name == "" {
		return ""
	}
	advice := "docs/configuration.md explains every key, packaging/lb.toml is a complete file"
	if strings.HasSuffix(name, " configuration") { // of HAProxy or nginx
		advice = "mcplb convert FILE translates it, " + advice
	}
	return fmt.Sprintf("; it looks like %s, and mcplb reads TOML: %s", name, advice)
}
