package l7

import (
	"strings"
	"testing"

	"mcplb/conf"
	"mcplb/proxy/mcp"
)

// Over TLS, what a browser may have asked for is not compressed: an attacker who sees
// the encrypted connection would learn the user's secrets from the lengths, with pages
// that make the browser ask (BREACH). MCP clients with a token still get gzip.
func TestGzipOverTLS(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("some text that can be compressed, ", 200)
	own := "Cookie: SERVERID=" + mcp.TagOf("s1").String()
	const https = "X-Forwarded-Proto: https"
	for name, c := range map[string]struct {
		fields []string // of the request
		answer string   // fields
		zipped bool
		plain  bool // the proxy is not trusted, so the client's connection is plain
	}{
		"plain":                 {fields: []string{"Cookie: a=b", "Origin: http://a"}, zipped: true},
		"plain, Set-Cookie":     {answer: "Set-Cookie: a=b", zipped: true},
		"plain, says the proxy": {fields: []string{"X-Forwarded-Proto: http", "Cookie: a=b"}, zipped: true},
		"proxy not trusted":     {fields: []string{https, "Cookie: a=b"}, zipped: true, plain: true},
		"MCP client":            {fields: []string{https, "Authorization: Bearer abc", "Mcp-Session-Id: x"}, zipped: true},
		"other case":            {fields: []string{"x-forwarded-proto: HTTPS", "Authorization: bearer abc"}, zipped: true},
		"several proxies":       {fields: []string{"X-Forwarded-Proto: https, http", "Cookie: a=b"}},
		"Forwarded":             {fields: []string{"Forwarded: for=1.2.3.4;Proto=\"https\";by=x, for=y", "Cookie: a=b"}},
		"older field":           {fields: []string{"x-forwarded-ssl: on", "Cookie: a=b"}},
		"older field, plain":    {fields: []string{"X-Forwarded-Ssl: off", "Cookie: a=b"}, zipped: true},
		"older field, 2":        {fields: []string{"Front-End-Https: On", "Cookie: a=b"}},
		"older field, 3":        {fields: []string{"X-Scheme: HTTPS", "X-Forwarded-Scheme: http", "Cookie: a=b"}},
		"Forwarded, plain":      {fields: []string{"Forwarded: for=1.2.3.4;proto=http;host=https", "Cookie: a=b"}, zipped: true},
		"own cookie":            {fields: []string{https, own}, zipped: true},
		"cookie":                {fields: []string{https, "Cookie: a=b"}},
		"own and other cookie":  {fields: []string{https, own + "; a=b"}},
		"cookies in two lines":  {fields: []string{https, own, "Cookie: a=b"}},
		"Basic":                 {fields: []string{https, "Authorization: Basic YTpi"}},
		"Negotiate":             {fields: []string{https, "Authorization: Negotiate abc"}},
		"Bearer without token":  {fields: []string{https, "Authorization: Bearer"}},
		"Origin":                {fields: []string{https, "Origin: https://evil"}},
		"Referer":               {fields: []string{https, "referer: https://evil/"}},
		"Sec-Fetch-Site":        {fields: []string{https, "Sec-Fetch-Site: cross-site"}},
		"Set-Cookie":            {fields: []string{https}, answer: "Set-Cookie: a=b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, func(s *setup) {
				if !c.plain {
					trusting(s)
				}
			})
			client, server := b.pair(s, get("/", append(c.fields, "Accept-Encoding: gzip")...))
			server.answer(large, strings.TrimPrefix(c.answer+"\r\nContent-Type: application/json", "\r\n"))
			r, got := client.response("GET")
			checkZipped(t, r, got, large, c.zipped, false)
			if r.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("Vary: %q", r.Header["Vary"])
			}
		})
	}
}

// Over TLS the length of a compressed response is random: to compare two lengths shows
// an attacker nothing.
func TestGzipOverTLSHasARandomLength(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("some text that can be compressed, ", 200)
	for _, proto := range []string{"http", "https"} {
		b, s := startServed(t, trusting, oneLoop)
		client := b.dial()
		var server *httpConn
		sizes := map[int]bool{}
		for range 100 {
			client.Say(get("/", "Accept-Encoding: gzip", "X-Forwarded-Proto: "+proto))
			if server == nil {
				server = s.next()
			}
			server.request()
			server.answer(large, "Content-Type: application/json")
			r, got := client.response("GET")
			checkZipped(t, r, got, large, true, false)
			sizes[len(got)] = true
		}
		// With 64 lengths, 100 responses have fewer than 20 once in 10^20 runs.
		if n := len(sizes); proto == "http" && n != 1 || proto == "https" && n < 20 {
			t.Errorf("%s: %d lengths", proto, n)
		}
	}
}

// What the server says of the bytes of its response stays true: clients that verify a
// digest or a signature would refuse the response otherwise.
func TestDigestsStayTrue(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("some text that can be compressed, ", 200)
	for _, field := range []string{
		"Content-Digest: sha-256=:x:", "Repr-Digest: sha-256=:x:", "Digest: sha-256=x", "content-md5: x", "Signature: sig1=:x:", "Signature-Input: sig1=(\"content-type\")",
		"Trailer: X, Content-Digest", "Trailer: X\r\nTrailer: repr-digest",
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(field, func(t *testing.T) {
				t.Parallel()
				_, client, server := startExchange(t, get("/", "Accept-Encoding: gzip"))
				if chunked {
					server.Say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + field + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(large) + "0\r\n\r\n")
				} else {
					server.answer(large, field, "Content-Type: application/json")
				}
				r, got := client.response("GET")
				checkZipped(t, r, got, large, false, false)
				name, value, _ := strings.Cut(field, ": ")
				if got := r.Header.Get(name); name != "Trailer" && got != value {
					t.Errorf("%s: %q", name, got)
				}
			})
		}
	}
	t.Run("of a stream that is rewritten", func(t *testing.T) {
		t.Parallel()
		_, client, server := startExchange(t, get("/"))
		server.answer("event: endpoint\ndata: /messages?sessionId=123\n\n", "Content-Type: text/event-stream", "Content-Digest: sha-256=:x:", "Repr-Digest: sha-256=:x:", "X: y")
		r, _ := client.response("GET")
		if r.Header.Get("Content-Digest") != "" || r.Header.Get("Repr-Digest") != "" || r.Header.Get("X") != "y" {
			t.Errorf("the header is %v", r.Header)
		}
	})
	t.Run("with compression off", func(t *testing.T) {
		t.Parallel()
		_, client, server := startExchange(t, get("/", "Accept-Encoding: gzip"), withFrontend(func(f *conf.Frontend) { f.Compress = nil }))
		server.answer(large, "Content-Type: application/json", "Content-Digest: sha-256=:x:")
		r, got := client.response("GET")
		checkZipped(t, r, got, large, false, false)
		if r.Header.Get("Content-Digest") == "" {
			t.Error("the digest is gone")
		}
	})
}
