package l7

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// cacheable are fields of answers, and whether shared caches may keep these. "{future}"
// and "{past}" are times.
var cacheable = []struct {
	fields []string
	kept   bool
}{
	{nil, false},
	{[]string{"Cache-Control: public"}, true},
	{[]string{"Cache-Control: PUBLIC"}, true},
	{[]string{"Cache-Control: public, max-age=0, must-revalidate"}, true},
	{[]string{"Cache-Control: max-age=60"}, true},
	{[]string{"cache-control: Max-Age=60"}, true},
	{[]string{`Cache-Control: max-age="60"`}, true},
	{[]string{"Cache-Control: max-age = 60"}, true},
	{[]string{"Cache-Control: max-age=60.5"}, true},
	{[]string{"Cache-Control: max-age=99999999999999999999"}, true},
	{[]string{"Cache-Control: max-age=0060"}, true},
	{[]string{"Cache-Control: max-age=0"}, false},
	{[]string{"Cache-Control: max-age=00"}, false},
	{[]string{"Cache-Control: max-age=-1"}, false},
	{[]string{"Cache-Control: max-age=x"}, false},
	{[]string{"Cache-Control: max-age"}, false},
	{[]string{"Cache-Control: max-age="}, false},
	{[]string{"Cache-Control: max-age=0, max-age=60"}, true},
	{[]string{"Cache-Control: s-maxage=60"}, true},
	{[]string{"Cache-Control: s-maxage=60, max-age=0"}, true},
	{[]string{"Cache-Control: max-age=0, s-maxage=60"}, true},
	{[]string{"Cache-Control: max-age=60, s-maxage=0"}, false},
	{[]string{"Cache-Control: s-maxage=0, max-age=60"}, false},
	{[]string{"Cache-Control: s-maxage=0, public"}, true},
	{[]string{"Cache-Control: must-revalidate", "Cache-Control: max-age=60"}, true},
	{[]string{"Cache-Control: ,, ,max-age=60"}, true},
	{[]string{`Cache-Control: ext="a, max-age=0", public`}, true},
	{[]string{`Cache-Control: ext="public, max-age=60"`}, false},
	{[]string{"Cache-Control: publicly"}, false},
	{[]string{"Cache-Control: public; max-age=60"}, true}, // as nginx and others read it
	{[]string{"Cache-Control: no-transform;s-maxage=60"}, true},
	{[]string{"Cache-Control: must-revalidate max-age=60"}, true},
	{[]string{"Cache-Control: max-age\t =\t60"}, true},
	{[]string{"Cache-Control: private; max-age=60"}, false},
	{[]string{`Cache-Control: ext="a; public b"`}, false},
	{[]string{`Cache-Control: no-cache="x, set-cookie"; public`}, false},
	{[]string{"Cache-Control: ; ;"}, false},
	{[]string{"Cache-Control: max-age=0, stale-while-revalidate=60"}, true},
	{[]string{"Cache-Control: max-age=0, stale-if-error=60"}, true},
	{[]string{"Cache-Control: max-age=0, stale-if-error=0"}, false},
	{[]string{"Cache-Control: private, stale-while-revalidate=60"}, false},
	{[]string{"Cache-Control: must-understand, no-store, max-age=60"}, true},
	{[]string{"Cache-Control: must-understand, no-store"}, false},

	{[]string{"Cache-Control: private"}, false},
	{[]string{"Cache-Control: private, max-age=60"}, false},
	{[]string{"Cache-Control: max-age=60", "Cache-Control: Private"}, false},
	{[]string{"Cache-Control: public, private"}, false},
	{[]string{"Cache-Control: no-store"}, false},
	{[]string{"Cache-Control: public, max-age=60, no-store"}, false},
	{[]string{"Cache-Control: private, s-maxage=60"}, false},
	{[]string{`Cache-Control: private="x", max-age=60`}, true},
	{[]string{`Cache-Control: private="x, Set-Cookie", max-age=60`}, false},
	{[]string{`Cache-Control: no-cache="set-cookie", max-age=60`}, false},
	{[]string{`Cache-Control: no-cache="x", public`}, true},
	{[]string{"Cache-Control: no-cache=set-cookie, public"}, false},
	{[]string{"Cache-Control: no-cache"}, false},
	{[]string{"Cache-Control: no-cache, max-age=60"}, true}, // kept, and asked about again
	{[]string{"Cache-Control: no-cache, no-store, must-revalidate", "Pragma: no-cache", "Expires: 0"}, false},
	{[]string{"Cache-Control: must-revalidate"}, false},
	{[]string{"Cache-Control: immutable"}, false},

	{[]string{"Expires: {future}"}, true},
	{[]string{"expires: {future}"}, true},
	{[]string{"Expires: {past}"}, false},
	{[]string{"Expires: 0"}, false},
	{[]string{"Expires: -1"}, false},
	{[]string{"Expires: tomorrow"}, false},
	{[]string{"Expires: "}, false},
	{[]string{"Expires: " + strings.Repeat("1", 1000)}, false},
	{[]string{"Expires: Fri, 31 Dec 9999 23:59:59 GMT"}, true},
	{[]string{"Expires: Friday, 31-Dec-38 23:59:59 GMT"}, true},
	{[]string{"Expires: Fri Dec 31 23:59:59 9999"}, true},
	{[]string{"Expires: Friday, 31-Dec-70 23:59:59 GMT"}, true}, // two digits: within 50 years
	{[]string{"Expires: Friday, 31-Dec-99 23:59:59 GMT"}, false},
	{[]string{"Expires: Fri, 1 Jan 2100 00:00:00 GMT"}, true},
	{[]string{"Expires: Fri, 01 Jan 2100 00:00:00 UTC"}, true},
	{[]string{"Expires: Fri, 01 Jan 2100 00:00:00 +0000"}, true},
	{[]string{"Expires: Fri, 01-Jan-2100 00:00:00 GMT"}, true},
	{[]string{"Expires: Fri Jan  1 00:00:00 2100"}, true},
	{[]string{"Expires: Fri, 01 Jan 2100 00:00:00"}, true}, // as nginx, Squid or Varnish read it
	{[]string{"Expires: fri, 01 jan 2100 00:00:00 gmt"}, true},
	{[]string{"Expires: 01 Jan 2100 00:00:00 GMT"}, true},
	{[]string{"Expires: Fri,01 Jan 2100 00:00:00 Z"}, true},
	{[]string{`Expires: "Friday, 1 January 2100 00:00:00 GMT+00:00"`}, true},
	{[]string{"Expires: Fri, 01 Jan 2100 00:00:00 GMT; x"}, true},
	{[]string{"Expires: Fri Jan 1 00:00:00 2100 GMT"}, true},
	{[]string{"Expires: Fri, 31-Dec-38 23:59:59 GMT"}, true},
	{[]string{"Expires: 2100-01-01T00:00:00Z"}, true},
	{[]string{"Expires: 2100-01-01 00:00:00"}, true},
	{[]string{"Expires: 2000-01-01T00:00:00.5Z"}, false},
	{[]string{"Expires: Sat, 01 Jan 2000 00:00:00"}, false},
	{[]string{"Expires: Fri, 31-Dec-99 23:59:59"}, false},
	{[]string{"Expires: 1 2 3 4"}, false},
	{[]string{"Expires: , ;"}, false},
	{[]string{"Expires: {past}", "Expires: {future}"}, true},
	{[]string{"Expires: {future}", "Expires: {past}"}, true},
	{[]string{"Date: Thu, 01 Jan 1970 00:00:00 GMT", "Expires: Thu, 01 Jan 1970 00:01:00 GMT"}, true}, // by the server's clock
	{[]string{"Date: Thu, 01 Jan 1970 00:00:00 GMT", "Expires: Thu, 01 Jan 1970 00:00:00 GMT"}, false},
	{[]string{"Cache-Control: max-age=0", "Expires: {future}"}, false},
	{[]string{"Cache-Control: s-maxage=0", "Expires: {future}"}, false},
	{[]string{"Cache-Control: private", "Expires: {future}"}, false},
	{[]string{"Cache-Control: no-transform", "Expires: {future}"}, true},

	{[]string{"Last-Modified: {past}"}, false}, // a guess
	{[]string{"ETag: x", "Vary: *"}, false},
	{[]string{"Pragma: public"}, false},
	{[]string{"Vary: Cookie", "Cache-Control: max-age=60"}, true},

	{[]string{"Surrogate-Control: max-age=60"}, true},
	{[]string{"Surrogate-Control: no-store"}, false},
	{[]string{"CDN-Cache-Control: max-age=60", "Cache-Control: no-store"}, true},
	{[]string{"Cloudflare-CDN-Cache-Control: max-age=60", "Cache-Control: private"}, true},
	{[]string{"CDN-Cache-Control: no-store", "Cache-Control: public"}, true}, // by other caches
	{[]string{"CDN-Cache-Control: private, max-age=60"}, false},
	{[]string{"CDN-Cache-Control: max-age=0"}, false},
	{[]string{"Edge-Control: !no-store, max-age=1d"}, true},
	{[]string{"Edge-Control: cache-maxage=60s"}, true},
	{[]string{"Edge-Control: no-store"}, false},
	{[]string{"X-Accel-Expires: 60"}, true},
	{[]string{"X-Accel-Expires: 0"}, false},
	{[]string{"X-Accel-Expires: off"}, false},
	{[]string{"X-Accel-Expires: @1999999999"}, true},
}

// fill writes the times into fields.
func fill(fields []string) string {
	now := time.Now().UTC()
	form := func(t time.Time) string { return t.Format(dateForms[0]) }
	all := ""
	for _, field := range fields {
		all += field + "\r\n"
	}
	return strings.NewReplacer("{future}", form(now.Add(time.Hour)), "{past}", form(now.Add(-time.Hour))).Replace(all)
}

func TestKeptByCaches(t *testing.T) {
	t.Parallel()
	for _, c := range cacheable {
		for status, kept := range map[int]bool{200: c.kept, 404: c.kept, 304: true} {
			var head http1.ResponseHead
			var scan http1.Scan
			fields := fill(c.fields)
			p := []byte(fmt.Sprintf("HTTP/1.1 %d X\r\n%sContent-Length: 0\r\n\r\n", status, fields))
			if n, reason := head.Parse(p, &scan, len(p)+1, http1.RequestContext{}); n == 0 {
				t.Fatalf("%q: %v", p, reason)
			}
			got, edited := keptByCaches(&head, time.Now()), keptByCachesEdited(status, []byte(fields), time.Now())
			if got != kept || edited != kept {
				t.Errorf("%d, %q: %v, as lines %v, want %v", status, c.fields, got, edited, kept)
			}
		}
	}
}

// The cookie is not put on an answer that a shared cache may keep: every client behind
// that cache would get the same cookie, and with it the same server. What the server
// sends itself stays.
func TestCookieIsNotCached(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := start(t, []string{s.Address}, withFrontend(func(f *conf.Frontend) { f.RequestsPerConnection = 0 }))
	client := b.dial()
	var server *httpConn
	for _, c := range cacheable {
		for _, request := range []string{get("/"), post("/", "x"), "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"} {
			method, _, _ := strings.Cut(request, " ")
			client.Say(request)
			if server == nil {
				server = s.next()
			}
			server.head()
			if method == "POST" {
				server.Hear("x")
			}
			server.Say("HTTP/1.1 200 OK\r\nSet-Cookie: mine=1\r\n" + fill(c.fields) + "Content-Length: 0\r\n\r\n")
			r, _ := client.wantStatus(method, 200)
			cookies := r.Header.Values("Set-Cookie")
			has := len(cookies) == 2 && strings.HasPrefix(cookies[1], "SERVERID="+mcp.TagOf("s1").String())
			if len(cookies) == 0 || cookies[0] != "mine=1" || has == c.kept || !has && len(cookies) != 1 {
				t.Errorf("%s, %q: the cookies are %q", method, c.fields, cookies)
			}
		}
	}
}

// What a route says about caches counts as what the server says: its fields are those
// that the cache in front reads.
func TestCookieIsNotCachedByRoute(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := start(t, []string{s.Address}, withRouteFile(t, route(`path = "/assets"`, `set_response_headers = { "Cache-Control" = "public, max-age=60" }`)+
		route(`path = "/more"`, `add_response_headers = { "Expires" = "Fri, 31 Dec 9999 23:59:59 GMT" }`)+
		route(`path = "/own"`, `set_response_headers = { "cache-control" = "private" }`)+
		route(`path = "/none"`, `remove_response_headers = ["Cache-Control"]`)))
	client := b.dial()
	var server *httpConn
	for path, cookie := range map[string]bool{"/assets": false, "/more": false, "/own": true, "/none": true, "/": false} {
		client.Say(get(path))
		if server == nil {
			server = s.next()
		}
		server.head()
		caching := "Cache-Control: public\r\n"
		if path == "/more" || path == "/assets" {
			caching = ""
		}
		server.Say("HTTP/1.1 200 OK\r\n" + caching + "Content-Length: 0\r\n\r\n")
		if r, _ := client.wantStatus("GET", 200); (r.Header.Get("Set-Cookie") != "") != cookie {
			t.Errorf("%s: Set-Cookie is %q", path, r.Header.Get("Set-Cookie"))
		}
	}
}
