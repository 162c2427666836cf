package conf

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// readOne returns the value that vt reads from raw, and the mistakes it reports.
func readOne[V any](vt valueType[V], raw any) (v V, shown string, mistakes []string) {
	v = vt.read(raw, func(place, reason string) { mistakes = append(mistakes, place+" "+reason) })
	return v, vt.show(v), mistakes
}

// accepted checks the value that vt reads from raw, and how it is shown. If shown
// is empty, vt must report a mistake.
func accepted[V any](t *testing.T, vt valueType[V], raw any, want V, shown string) {
	t.Helper()
	v, show, mistakes := readOne(vt, raw)
	switch {
	case shown == "" && len(mistakes) == 0:
		t.Errorf("%v was accepted, as %v", raw, v)
	case shown != "" && len(mistakes) > 0:
		t.Errorf("%v was refused: %v", raw, mistakes)
	case shown != "" && (!reflect.DeepEqual(v, want) || show != shown):
		t.Errorf("%v became %v, shown as %s; want %v, %s", raw, v, show, want, shown)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw   any
		want  time.Duration
		shown string
	}{
		{"3s", 3 * time.Second, "3s"}, {"1h0m0s", time.Hour, "1h"}, {"90m", 90 * time.Minute, "1h30m"}, {"1h1s", time.Hour + time.Second, "1h0m1s"},
		{"100ms", 100 * time.Millisecond, "100ms"}, {"20m", 20 * time.Minute, "20m"}, {"10s", 10 * time.Second, "10s"},
		{int64(0), 0, "0s"}, {"0", 0, "0s"}, {"0s", 0, "0s"}, {"8760h", 8760 * time.Hour, "8760h"},
		{int64(3), 0, ""}, {"3", 0, ""}, {"", 0, ""}, {"s", 0, ""}, {"-1s", 0, ""}, {"999us", 0, ""}, {"8761h", 0, ""},
		{"1000000000h", 0, ""}, {true, 0, ""}, {1.5, 0, ""}, {nil, 0, ""}, {" 3s", 0, ""}, {"00", 0, ""},
	} {
		accepted(t, timeout, c.raw, c.want, c.shown)
	}
	accepted(t, period, "1ms", time.Millisecond, "1ms")
	accepted(t, period, int64(0), 0, "")
	accepted(t, tcpUserTimeout, "577h", 0, "")
}

func TestSizes(t *testing.T) {
	t.Parallel()
	k := size(true, 10, 4*gigabyte)
	for _, c := range []struct {
		raw   any
		want  int64
		shown string
	}{
		{"16m", 16 << 20, "16m"}, {"32k", 32 << 10, "32k"}, {"1g", 1 << 30, "1g"}, {"4G", 4 << 30, "4g"}, {"1024k", 1 << 20, "1m"},
		{int64(1000), 1000, "1000"}, {"1000", 1000, "1000"}, {int64(0), 0, "0"}, {"0k", 0, "0"},
		{int64(9), 0, ""}, {int64(-1), 0, ""}, {"-1k", 0, ""}, {"+1k", 0, ""}, {"1_0k", 0, ""}, {"16mb", 0, ""}, {"16 m", 0, ""}, {"m", 0, ""}, {"", 0, ""},
		{"5g", 0, ""}, {"99999999999999999999g", 0, ""}, {"4294967296g", 0, ""}, {1.5, 0, ""}, {"1.5m", 0, ""},
	} {
		accepted(t, k, c.raw, c.want, c.shown)
	}
	accepted(t, size(false, 10, 20), int64(0), 0, "")
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	accepted(t, integer(1, 3), int64(3), 3, "3")
	accepted(t, integer(1, 3), int64(0), 0, "")
	accepted(t, integer(1, 3), int64(4), 0, "")
	accepted(t, integer(1, 3), 2.0, 0, "")
	accepted(t, factor, int64(2), 2, "2")
	accepted(t, factor, 1.25, 1.25, "1.25")
	accepted(t, factor, -2.0, 0, "")
	accepted(t, factor, "2", 0, "")
	for _, text := range []string{"inf", "-inf", "nan"} {
		if _, err := Parse("x", []byte(strings.Replace(minimal, "[[", "[backend.nodes]\nbalance_factor = "+text+"\n[[", 1))); err == nil {
			t.Errorf("balance_factor = %s was accepted", text)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ raw, listen, server string }{
		{"127.0.0.1:8000", "127.0.0.1:8000", "127.0.0.1:8000"},
		{":8000", ":8000", ""},
		{":0", ":0", ""},
		{"127.0.0.1:0", "127.0.0.1:0", ""},
		{"[::1]:8000", "[::1]:8000", "[::1]:8000"},
		{"[0:0::0001]:08000", "[::1]:8000", "[::1]:8000"},
		{"[::ffff:10.0.0.1]:80", "10.0.0.1:80", "10.0.0.1:80"},
		{"[fe80::1%eth0]:80", "[fe80::1%eth0]:80", "[fe80::1%eth0]:80"},
		{"[::]:80", "[::]:80", ""},
		{"0.0.0.0:80", "0.0.0.0:80", ""},
		{"LocalHost:65535", "localhost:65535", "localhost:65535"},
		{"node-1.my_net:1", "node-1.my_net:1", "node-1.my_net:1"},
		{"10.0.0.256:1", "", ""}, {"10.0.0:1", "", ""}, {"1:2", "", ""}, {"a..b:1", "", ""}, {"-a:1", "", ""}, {"a-:1", "", ""}, {"ä:1", "", ""},
		{strings.Repeat("a", 64) + ":1", "", ""}, {strings.Repeat("a.", 130) + "a:1", "", ""},
		{"host", "", ""}, {"host:", "", ""}, {"host:-1", "", ""}, {"host:+1", "", ""}, {"host:65536", "", ""}, {"host: 1", "", ""}, {" host:1", "", ""},
		{"[::1]", "", ""}, {"::1:80", "", ""}, {"[::1:80", "", ""}, {"ff02::1", "", ""}, {"[ff02::1]:80", "", ""}, {"http://a:80", "", ""}, {"*:80", "", ""}, {"/tmp/x", "", ""},
	} {
		show := func(s string) string {
			if s == "" {
				return ""
			}
			return `"` + s + `"`
		}
		accepted(t, listenAddress, c.raw, c.listen, show(c.listen))
		accepted(t, serverAddress, c.raw, c.server, show(c.server))
	}
	accepted(t, serverAddress, "", "", `""`)
	accepted(t, optionalListen, "", "", `""`)
	accepted(t, listenAddress, "", "", "")
	accepted(t, listeners, ":1", []string{":1"}, `[":1"]`)
	accepted(t, listeners, []any{":1", "[::1]:2"}, []string{":1", "[::1]:2"}, `[":1", "[::1]:2"]`)
	accepted(t, listeners, []any{}, nil, "")
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{":80", ":80", true}, {":80", ":81", false}, {":80", "0.0.0.0:80", true}, {":80", "[::]:80", true}, {":80", "[::1]:80", true}, {":80", "10.0.0.1:80", true},
		{"[::]:80", "0.0.0.0:80", false}, {"[::]:80", "10.0.0.1:80", true}, {"0.0.0.0:80", "10.0.0.1:80", true}, {"0.0.0.0:80", "[::1]:80", false},
		{"10.0.0.1:80", "10.0.0.2:80", false}, {"10.0.0.1:80", "10.0.0.1:80", true}, {"localhost:80", "localhost:80", true}, {"localhost:80", "127.0.0.1:80", false},
		{"localhost.:80", "localhost:80", true}, {"localhost.:80", "0.0.0.0:80", true}, {"0.0.0.0:80", "0.0.0.0:80", true}, {":80", ":80", true},
		{"localhost:80", "0.0.0.0:80", true}, {":0", ":0", false}, {"127.0.0.1:0", ":0", false},
		{"[::%lo]:80", "0.0.0.0:80", true}, {"[::%lo]:80", "[::]:80", true}, {"[::%lo]:80", "[::1]:80", true},
	} {
		if overlap(c.a, c.b) != c.want || overlap(c.b, c.a) != c.want {
			t.Errorf("overlap(%s, %s) is not %t both ways", c.a, c.b, c.want)
		}
	}
}

func TestHTTPValueTypes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"null", "https://a.example", "http://localhost:5173", "http://[::1]:3000", "vscode-webview://abc", "https://a.example:8443"} {
		accepted(t, origin, s, s, `"`+s+`"`)
	}
	for _, s := range []string{"", "*", "a.example", "https://", "https://A.example", "HTTPS://a.example", "https://a.example/", "https://u@a.example", "https://a.example?x",
		"https://a.example#x", "https://a.example:443", "http://a.example:80", "https://a.example:", "https://a b", "://a", "https:a.example"} {
		accepted(t, origin, s, "", "")
	}
	for _, s := range []string{"", "Path=/", "Path=/; HttpOnly; SameSite=Lax", "path=/a;max-age=0", "Domain=.example.com; Secure; Partitioned", "Max-Age=3600; SameSite=none"} {
		accepted(t, cookieAttributes, s, s, `"`+s+`"`)
	}
	for _, s := range []string{" ", ";", "Path", "Path=/;", "Path=a", "Path=/ a", "Path=/,", "HttpOnly=1", "SameSite", "Max-Age=", "Max-Age=-1", "Max-Age=99999999999", "Domain=", "Domain=a b",
		"Expires=0", "Path=/\r\nX: y", "Path=/; PATH=/", "Path=/\x7f"} {
		accepted(t, cookieAttributes, s, "", "")
	}
	accepted(t, mediaType, "Application/vnd.x+json", "application/vnd.x+json", `"application/vnd.x+json"`)
	for _, s := range []string{"", "text", "text/", "/html", "text/*", "*/*", "text/html;q=1", "a/b/c", "Text/Event-Stream", "text/h l"} {
		accepted(t, mediaType, s, "", "")
	}
	for _, s := range []string{"", "a b", "a;b", "a=b", "ä", "a\"", "a,b"} {
		shown := ""
		if s == "" {
			shown = `""`
		}
		accepted(t, cookieName, s, "", shown)
	}
	for _, s := range []string{"", "a", "a/", "/ ", "/?", "/#", "/ä", "/\n"} {
		accepted(t, routePath, s, "", "")
	}
}

// TestDescribe checks that a message is one line of limited length.
func TestDescribe(t *testing.T) {
	t.Parallel()
	_, err := Parse("lb.toml", []byte(strings.Replace(minimal, "mcp", strings.Repeat("x", 10_000), 1)))
	if got := err.Error(); len(got) > 300 || strings.Contains(got, "\n") {
		t.Errorf("a message of %d bytes", len(got))
	}
	for _, c := range []struct {
		raw  any
		want string
	}{
		{"a\nb", `"a\nb"`}, {int64(5), "5"}, {1.5, "1.5"}, {true, "true"}, {[]any{int64(1)}, "a list"}, {[]any{}, "a list"},
		{[]any{map[string]any{}}, "an array of tables"}, {map[string]any{}, "a table"}, {time.Time{}, "a date or time"},
	} {
		if got := describe(c.raw); got != c.want {
			t.Errorf("describe(%v) is %s, want %s", c.raw, got, c.want)
		}
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	keys := frontendSection.keys()
	for word, want := range map[string]string{
		"lisen": "listen", "Listen": "listen", "timeoutclient": "timeout_client", "timeout_clinet": "timeout_client", "backends": "backend", "bakend": "backend",
		"max_msg": "", "tsl": "tls", "xyz": "", "": "", "l": "", "trusted_proxys": "trusted_proxies", strings.Repeat("listen", 100): "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("nearest(%q) is %q, want %q", word, got, want)
		}
	}
	for word, want := range map[string]string{"bind": "listen", "default_backend": "backend"} {
		if got := didYouMean(word, keys); !strings.Contains(got, `"`+want+`"`) {
			t.Errorf("didYouMean(%q) is %q, want %s", word, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abcd", "acbd", 1}, {"same", "same", 0}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
