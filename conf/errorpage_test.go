package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A browser shows a page as what its file's name says, or what it looks like.
func TestPageTypes(t *testing.T) {
	t.Parallel()
	for file, c := range map[string]struct{ body, want string }{
		"a.html":   {"x", "text/html; charset=utf-8"},
		"A.HTM":    {"x", "text/html; charset=utf-8"},
		"a.json":   {"x", "application/json"},
		"a.txt":    {"<p>", "text/plain; charset=utf-8"},
		"a.page":   {" \n<p>", "text/html; charset=utf-8"},
		"bom":      {"\ufeff<p>", "text/html; charset=utf-8"},
		"xml":      {"<?xml version='1.0'?><e/>", "application/xml"},
		"json":     {` {"error": 1}`, "application/json"},
		"not.jsn":  {`{"error": `, "text/plain; charset=utf-8"},
		"plain":    {"Back soon.", "text/plain; charset=utf-8"},
		"a.d/page": {"", "text/plain; charset=utf-8"},
	} {
		if got := pageType(file, []byte(c.body)); got != c.want {
			t.Errorf("%s, %q: %s, want %s", file, c.body, got, c.want)
		}
	}
}

// A reload finds a page whose file has other contents, and its log says which; a file
// that is too large is refused, since every client that does not read keeps a copy.
func TestPageChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "503.html")
	text := strings.Replace(minimal, `"mcp"`, `"http"`, 1) + "http = \"192.0.2.1:1\"\n[frontend.tcp.error_pages]\n503 = \"" + path + "\"\n"
	write := func(body string) {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	before := mustParse(t, text)
	write("other")
	after := mustParse(t, text)
	const want = "~frontend.tcp.error_pages.503 (3 bytes, 7692c3ad) -> (5 bytes, d9298a10)"
	if plan := Diff(before, after); plan.String() != want {
		t.Errorf("%s, want %s", plan.String(), want)
	}
	if page := before.Frontends[0].ErrorPages[0]; string(page.Body) != "one" || page.Status != 503 {
		t.Errorf("the page is %+v", page)
	}
	write(strings.Repeat("x", MostPage+1))
	if _, err := Parse("lb.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), "too large: it must be a regular file of at most 64 KiB") {
		t.Errorf("too large a page: %v", err)
	}
}

// Pages of HAProxy are complete responses: clients must not get their heads as text.
func TestPageWithoutHead(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/html\r\n\r\n<p>\r\n\r\nback\r\n": "<p>\n\nback\n",
		"HTTP/1.1 503 No\nA: b\n\nback": "back", "HTTP/1.0 503 No\r\nA: b\r\n": "", "<p>HTTP/1.\n\nx": "<p>HTTP/1.\n\nx", "": "",
	} {
		if got := string(withoutHead([]byte(page))); got != want {
			t.Errorf("%q: %q, want %q", page, got, want)
		}
	}
}
