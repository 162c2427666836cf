package rules

import (
	"bytes"
	"net/netip"
	"testing"
)

// A header says what its template says, and no value that a client sends ends its
// line.
func TestTemplate(t *testing.T) {
	v := &Values{
		Client: netip.MustParseAddrPort("[2001:db8::1]:7"), Host: []byte("A.example:80"), Path: []byte("/%61"), Query: []byte(""), Scheme: "https",
		MCPName: []byte("é\r\nX: y\x00\t\x7f"),
	}
	for text, want := range map[string]string{
		"": "", "plain }": "plain }", "{client_ip} {client_port}": "2001:db8::1 7", "{scheme}://{host}{uri}": "https://A.example:80/%61?", "{{host}": "{host}",
		"{query}{tls_subject}{server}": "", "<{mcp_name}>": "<éX: y >", "{path}": "/%61", "{{{{{path}}": "{{/%61}",
	} {
		if got := string(NewTemplate(text).Append([]byte("x"), v)); got != "x"+want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for host, want := range map[string]string{"A.example:80": "a.example", "a.example.:8443": "a.example", "[::1]:80": "[::1]", "10.0.0.1": "10.0.0.1", "": ""} {
		if got := string(NewTemplate("https://{hostname}:1/").Append(nil, &Values{Host: []byte(host)})); got != "https://"+want+":1/" {
			t.Errorf("the host %q: %q, want %q", host, got, want)
		}
	}
	for query, want := range map[string]string{"": "/new", "a=b": "/new?a=b", "?": "/new??"} {
		if got := string(NewTemplate("/new?{query}").Append(nil, &Values{Query: []byte(query)})); got != want {
			t.Errorf("the query %q: %q, want %q", query, got, want)
		}
	}
	if got := string(NewTemplate("{client_ip}{client_port}{uri}").Append(nil, &Values{})); got != "" {
		t.Errorf("without values: %q", got)
	}
	all := NewTemplate("{client_ip}{host}{uri}{mcp_name}")
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { all.Append(dst, v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nothing that a client sends brings a line end or a NUL into a header.
func FuzzAppend(f *testing.F) {
	f.Add([]byte("a\r\nb\x00"))
	template := NewTemplate("a{host}{hostname}b{path}c{uri}d{mcp_name}e{mcp_method}f{request_id}g{method}h{query}i")
	f.Fuzz(func(t *testing.T, p []byte) {
		got := template.Append(nil, &Values{Host: p, Path: p, Query: p, MCPName: p, MCPMethod: p, RequestID: p, Method: p})
		if bytes.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q", got)
		}
	})
}
