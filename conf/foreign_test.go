package conf

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"
)

// Files that are no TOML at all are named: an operator who gives the file of another program,
// or one that an editor has encoded otherwise, is not sent to look for a typing error.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	const haproxy = "# my proxy\nglobal\n    maxconn 1000\n    log /dev/log local0\n\ndefaults\n    mode http\n\nfrontend www\n    bind :80\n    default_backend nodes\n\nbackend nodes\n    server n1 10.0.0.1:80 check\n"
	for name, test := range map[string]struct{ text, want string }{
		"HAProxy":                 {haproxy, "an HAProxy configuration"},
		"HAProxy, CR LF":          {strings.ReplaceAll(haproxy, "\n", "\r\n"), "an HAProxy configuration"},
		"HAProxy, listen":         {"listen stats\n  bind 127.0.0.1:9000\n  stats enable\n", "an HAProxy configuration"},
		"HAProxy, from":           {"defaults base\n  mode tcp\nbackend b from base\n  server s 127.0.0.1:1\n", "an HAProxy configuration"},
		"nginx":                   {"user www-data;\nworker_processes auto;\nevents {\n  worker_connections 768;\n}\nhttp {\n  upstream nodes { server 10.0.0.1; }\n}\n", "an nginx configuration"},
		"nginx, a site":           {"server {\n    listen 80;\n    location / {\n        proxy_pass http://nodes;\n    }\n}\n", "an nginx configuration"},
		"nginx, stream":           {"stream {\n upstream nodes {\n hash $remote_addr;\n server 10.0.0.1:1; } }\n", "an nginx configuration"},
		"YAML":                    {"frontend:\n  tcp:\n    listen: :8000\n    mode: mcp\n", "a YAML document"},
		"YAML, document":          {"---\nservices:\n  - name: a\n", "a YAML document"},
		"YAML, list":              {"- name: node1\n  tcp: 10.0.0.1:9000\n", "a YAML document"},
		"JSON":                    {"{\n  \"global\": {\"maxconn\": 5}\n}\n", "a JSON document"},
		"JSON, one line":          {`{"admin":{}}`, "a JSON document"},
		"JSON, a list":            {`[{"a":1}]`, "a JSON document"},
		"JSON, empty":             {"{}", "a JSON document"},
		"INI":                     {"; settings\n[global]\nmaxconn = lots\n", "an INI file"},
		"XML":                     {"<?xml version=\"1.0\"?>\n<config/>\n", "an XML document"},
		"PEM":                     {"-----BEGIN CERTIFICATE-----\nMIIB\n", "a certificate or key (PEM)"},
		"script":                  {"#!/bin/sh\nexec mcplb -c lb.toml\n", "a script"},
		"Caddyfile":               {":8080 {\n\treverse_proxy 10.0.0.1:80\n}\n", "a Caddyfile"},
		"TOML with a YAML line":   {"[frontend.tcp]\nlisten: \":8000\"\n", ""},
		"TOML with a mistake":     {"[global]\nmaxconn = \n[backend.nodes]\n", ""},
		"TOML with a bare word":   {"[admin]\nlisten = 127.0.0.1:8404\n", ""},
		"TOML with an open quote": {"[admin]\nlisten = \"127.0.0.1:8404\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("file", []byte(test.text))
			var mistakes Errors
			if !errors.As(err, &mistakes) || len(mistakes) != 1 {
				t.Fatalf("%v", err)
			}
			message := err.Error()
			if named := strings.Contains(message, "looks like"); named != (test.want != "") || !strings.Contains(message, test.want) {
				t.Errorf("%s, want %q", message, test.want)
			}
			if test.want != "" && !strings.Contains(message, "mcplb reads TOML") {
				t.Errorf("it does not say what to do: %s", message)
			}
			if converts := strings.Contains(message, "mcplb convert"); converts != (strings.Contains(test.want, "HAProxy") || strings.Contains(test.want, "nginx")) {
				t.Errorf("it names the converter: %t: %s", converts, message)
			}
		})
	}
}

// encoded is text in UTF-16 or UTF-32.
func encoded(text string, order binary.ByteOrder, width int, mark bool) []byte {
	if mark {
		text = byteOrderMark + text
	}
	var out []byte
	if width == 4 {
		for _, r := range text {
			out = append(out, 0, 0, 0, 0)
			order.PutUint32(out[len(out)-4:], uint32(r))
		}
		return out
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, 0, 0)
		order.PutUint16(out[len(out)-2:], unit)
	}
	return out
}

// Editors on other systems save "Unicode": a byte order mark is accepted, another
// encoding is named.
func TestEncodings(t *testing.T) {
	t.Parallel()
	if _, err := Parse("lb.toml", []byte(byteOrderMark+minimal)); err != nil {
		t.Errorf("a file with a byte order mark: %v", err)
	}
	if _, err := ParseAdmin([]File{{"lb.toml", []byte(byteOrderMark + minimal)}}); err != nil {
		t.Errorf("a file with a byte order mark, for a command: %v", err)
	}
	if _, err := Parse("lb.toml", []byte(byteOrderMark+"[global]\nmaxcon = 5\n")); err == nil || !strings.Contains(err.Error(), "lb.toml:2: global.maxcon: ") {
		t.Errorf("a mistake in a file with a byte order mark: %v", err)
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, mark := range []bool{true, false} {
			for width, name := range map[int]string{2: "UTF-16", 4: "UTF-32"} {
				_, err := Parse("lb.toml", encoded(minimal, order, width, mark))
				if err == nil || !strings.Contains(err.Error(), "lb.toml:1: not UTF-8: the file is "+name+": save it as UTF-8") {
					t.Errorf("%s, %v, mark %v: %v", name, order, mark, err)
				}
			}
		}
	}
	_, err := Parse("lb.toml", []byte("# caf\xe9\n"+minimal))
	if err == nil || !strings.Contains(err.Error(), "lb.toml:1: not UTF-8: save the file in that encoding") {
		t.Errorf("Latin-1: %v", err)
	}
}

// A command needs only [admin], whatever else is wrong with the file, and says what is
// wrong with that.
func TestParseAdmin(t *testing.T) {
	t.Parallel()
	admin, err := ParseAdmin([]File{{"lb.toml", []byte("[admin]\nlisten = \"127.0.0.1:1\"\nfrom_a_newer_release = true\nmax_connections = -1\n[frontend.x]\nmode = 5\nnonsense = 1\n")}})
	if err != nil || admin.Listen != "127.0.0.1:1" || admin.HealthListen != "127.0.0.1:8888" {
		t.Errorf("%+v, %v", admin, err)
	}
	if _, err := ParseAdmin([]File{{"lb.toml", []byte("[admin]\nlisten = 8404\n")}}); err == nil || !strings.HasPrefix(err.Error(), "lb.toml:2: admin.listen: must be") {
		t.Errorf("a wrong address: %v", err)
	}
	if _, err := ParseAdmin([]File{{"lb.toml", []byte("admin = 5\n")}}); err == nil || !strings.HasPrefix(err.Error(), "lb.toml:1: admin: must be a table") {
		t.Errorf("no table: %v", err)
	}
}
