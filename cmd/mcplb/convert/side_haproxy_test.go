package convert

// The configurations of HAProxy that are compared.

const haproxyDefaults = `
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
`

var haproxyComparisons = []comparison{
	{name: "a chain of conditions", text: haproxyDefaults + `
frontend f
    bind @L1@
    acl api hdr(host) -i api.example.com
    acl internal src 127.0.0.7
    acl write method POST PUT
    use_backend b if api write
    use_backend c if api { path_beg /c/ } or { hdr(X-Pool) c }
    use_backend d if !api internal
    use_backend d if { path /exact } !write
    default_backend a
backend a
    server a1 @a1@
backend b
    server b1 @b1@
backend c
    server c1 @c1@
backend d
    server d1 @d1@
`, requests: []request{
		{path: "/"}, {path: "/c/x"}, {host: "api.example.com", path: "/c/x"}, {host: "API.example.com", path: "/c/x"}, {host: "api.example.com", path: "/c/x", method: "POST", body: "x"},
		{path: "/", headers: map[string]string{"X-Pool": "c"}}, {path: "/", headers: map[string]string{"X-Pool": "d"}}, {path: "/", source: "127.0.0.7"}, {host: "api.example.com", path: "/", source: "127.0.0.7"},
		{path: "/exact"}, {path: "/exact", method: "PUT", body: "x"}, {path: "/exact/more"}, {path: "/q?a=b&c=%20d"},
	}},
	{name: "paths that are changed", text: haproxyDefaults + `
frontend f
    bind @L1@
    http-request set-path /v2%[path] if { path_beg /v1/ }
    http-request replace-path ^/app/(.*) /\1
    http-request replace-uri ^/legacy/(.*) /current/\1
    use_backend b if { path_beg /v1/ }
    use_backend c if { path_beg /v2/ }
    use_backend c if { path_beg /current/ }
    use_backend b if { path_beg /legacy/ }
    default_backend a
frontend g
    bind @L2@
    http-request replace-path ^/a/(.*) /b/\1
    http-request replace-path ^/b/c/(.*) /d/\1
    http-request deny if { path_beg /b/secret/ }
    http-request deny if { path /d/x }
    http-request return status 200 content-type text/plain string b if { path /b/y }
    http-request set-path /all%[path]
    http-request deny unless { path_beg /all/ }
    default_backend a
backend a
    server a1 @a1@
backend b
    server b1 @b1@
backend c
    http-request replace-path ^/v2/v1/(.*) /v1/\1
    server c1 @c1@
`, requests: []request{
		{path: "/v1/x"}, {path: "/app/x"}, {path: "/app/v1/x"}, {path: "/app/v2/x"}, {path: "/app/v2/v1/x?q=1"}, {path: "/app/legacy/x"}, {path: "/legacy/x"}, {path: "/current/x"}, {path: "/v2/x"}, {path: "/"},
		{listener: 2, path: "/a/x"}, {listener: 2, path: "/a/c/x"}, {listener: 2, path: "/a/c/y"}, {listener: 2, path: "/a/secret/z"}, {listener: 2, path: "/b/secret/z"}, {listener: 2, path: "/d/x"}, {listener: 2, path: "/d/y"}, {listener: 2, path: "/a/y"}, {listener: 2, path: "/"},
	}},
	{name: "headers", watch: []string{"X-Powered-By", "X-Frame-Options", "X-Pool"}, text: haproxyDefaults + `
frontend f
    bind @L1@
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Source-Port %[src_port]
    http-request set-header X-Where "%[req.hdr(host)]%[path] {braces} 100%%"
    http-request add-header X-Also "a b"
    http-request del-header X-Secret
    http-request set-header X-Post yes if { method POST }
    http-response set-header X-Frame-Options DENY
    http-response del-header X-Powered-By
    use_backend b if { path_beg /b/ }
    default_backend a
frontend g
    bind @L2@
    default_backend b
backend a
    server a1 @a1@
backend b
    http-request set-header X-Pool b
    http-request set-header X-Also c
    http-response set-header X-Pool b
    server b1 @b1@
`, requests: []request{
		{path: "/", host: "h.example.com", headers: map[string]string{"X-Secret": "s", "X-Kept": "k"}}, {path: "/b/x", host: "h.example.com"}, {path: "/", host: "h.example.com", method: "POST", body: "body"},
		{listener: 2, path: "/", host: "h.example.com", headers: map[string]string{"X-Also": "client"}},
	}},
	{name: "answers and redirects", watch: []string{"X-Reason"}, text: haproxyDefaults + `
frontend f
    bind @L1@
    acl office src 127.0.0.7 127.1.0.0/16
    monitor-uri /alive
    http-request deny if { path_beg /admin/ } !office
    http-request deny deny_status 429 if { path /slow }
    http-request return status 418 content-type text/x-tea string "short {and} stout" hdr X-Reason teapot if { path /tea }
    http-request redirect location /new code 301 if { path /old }
    http-request redirect prefix https://www.example.com code 307 if { hdr(host) example.com }
    http-request redirect scheme https code 302 if { hdr(host) -m end .secure.example.com }
    http-request redirect location https://other.example.com/x if { path /default } { method GET }
    default_backend a
backend a
    server a1 @a1@
`, requests: []request{
		{path: "/admin/x"}, {path: "/admin/x", source: "127.0.0.7"}, {path: "/admin/x", source: "127.1.2.3"}, {path: "/slow"}, {path: "/tea"}, {path: "/old"}, {path: "/old/er"},
		{path: "/a?b=c", host: "example.com"}, {path: "/a?b=c", host: "x.secure.example.com"}, {path: "/default"}, {path: "/default", method: "POST", body: "x"}, {path: "/"},
	}},
	{name: "limits", text: haproxyDefaults + `
frontend f
    bind @L1@
    stick-table type ip size 1k expire 1h store http_req_rate(1h)
    http-request track-sc0 src
    http-request deny deny_status 429 if { sc_http_req_rate(0) gt 5 }
    default_backend a
frontend g
    bind @L2@
    stick-table type string len 32 size 1k expire 1h store http_req_rate(1h)
    http-request track-sc0 hdr(X-Key)
    http-request deny deny_status 429 if { sc0_http_req_rate gt 3 }
    default_backend b
backend a
    server a1 @a1@
backend b
    server b1 @b1@
`, requests: []request{
		{path: "/", times: 12, source: "127.0.0.8"}, {path: "/", times: 3, source: "127.0.0.9"},
		{listener: 2, path: "/", times: 6, headers: map[string]string{"X-Key": "one"}}, {listener: 2, path: "/", times: 2, headers: map[string]string{"X-Key": "two"}},
	}},
	{name: "policies", text: haproxyDefaults + `
frontend f
    bind @L1@
    use_backend b if { path_beg /b/ }
    use_backend c if { path_beg /c/ }
    use_backend d if { path_beg /d/ }
    default_backend a
backend d
    cookie PLACE insert indirect nocache
    server d1 @d1@ cookie one
    server d2 @d2@ cookie two
backend a
    balance roundrobin
    server a1 @a1@
    server a2 @a2@
    server a3 @a3@ backup
    server a4 @a4@ disabled
backend b
    balance source
    server b1 @b1@
    server b2 @b2@
    server b3 @b3@
backend c
    balance roundrobin
    server c1 @c1@ weight 3
    server c2 @c2@ weight 1
`, requests: []request{
		{path: "/", times: 10, policy: even}, {path: "/b/", times: 8, policy: sticky, source: "127.0.0.8"}, {path: "/b/", times: 8, policy: sticky, source: "127.0.3.9"}, {path: "/c/", times: 8, policy: even},
		{path: "/d/", times: 6, jar: true, policy: sticky},
	}},
	{name: "paths and prefixes", text: haproxyDefaults + `
frontend f
    bind @L1@
    http-request replace-path ^/strip/(.*) /\1 if { path_beg /strip/ }
    http-request set-path /base%[path] if { path_beg /add/ }
    http-request replace-path ^/from/(.*) /to/\1 if { path_beg /from/ }
    use_backend b if { path_beg /strip/ }
    default_backend a
backend a
    server a1 @a1@
backend b
    server b1 @b1@
`, requests: []request{
		{path: "/add/x?q=1"}, {path: "/from/a/b?q=1"}, {path: "/other"},
	}},
	{name: "TLS and TCP", text: `
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen lines
    mode tcp
    bind @L1@
    tcp-request connection reject if { src 127.0.0.66 }
    balance roundrobin
    server t1 @t1@
    server t2 @t2@
frontend https
    mode http
    bind @L2@ ssl crt @CERT@
    http-request redirect scheme https unless { ssl_fc }
    http-request set-header X-Forwarded-Proto https if { ssl_fc }
    default_backend web
backend web
    mode http
    server a1 @a1@
`, requests: []request{
		{tcp: true, path: "hello", times: 6, policy: spread}, {tcp: true, path: "hello", source: "127.0.0.66"}, {listener: 2, tls: true, path: "/x", host: "side.example.com"},
	}},
	{name: "regular expressions and exact paths", text: haproxyDefaults + `
frontend f
    bind @L1@
    acl version path_reg ^/(v1|v2)/
    acl either path_reg ^/either/?$
    acl below path_reg ^/below(/|$)
    acl tenant hdr_reg(host) -i ^(red|blue)\.example\.com(:[0-9]+)?$
    acl domain hdr(host) -m reg ^(.*\.)?wild\.example\.com$
    acl beta hdr_reg(X-Release) ^(beta|v2.*)$
    http-request deny if { path /locked }
    http-request return status 404 if { path /shut/ }
    use_backend b if version !beta
    use_backend c if either or below
    use_backend d if tenant or domain
    use_backend e if beta
    default_backend a
frontend g
    bind @L2@
    use_backend b if { path_beg /one/ }
    use_backend c if { path_beg /two/ }
    use_backend d if { path_beg /three/ }
    default_backend a
backend a
    server a1 @a1@
backend b
    http-request replace-path ^/one(/.*)$ \1
    server b1 @b1@
backend c
    http-request replace-path ^/two/?(.*)$ /deux/\1
    server c1 @c1@
backend d
    http-request set-path %[path,regsub(^/three/,/trois/)]
    server d1 @d1@
backend e
    server e1 @e1@
`, requests: []request{
		{path: "/v1/x"}, {path: "/v2/"}, {path: "/v3/x"}, {path: "/v1/x", headers: map[string]string{"X-Release": "beta"}}, {path: "/", headers: map[string]string{"X-Release": "v22"}}, {path: "/", headers: map[string]string{"X-Release": "v1"}},
		{path: "/either"}, {path: "/either/"}, {path: "/either/x"}, {path: "/below"}, {path: "/below/x"}, {path: "/belowx"}, {path: "/locked"}, {path: "/shut/"}, {path: "/shut"},
		{path: "/", host: "red.example.com"}, {path: "/", host: "BLUE.example.com:8080"}, {path: "/", host: "green.example.com"}, {path: "/", host: "wild.example.com"}, {path: "/", host: "a.b.wild.example.com"}, {path: "/", host: "xwild.example.com"},
		{listener: 2, path: "/one/x?q=1"}, {listener: 2, path: "/two/x"}, {listener: 2, path: "/three/x/y"},
	}},
	{name: "limits of those alone who have the header", text: haproxyDefaults + `
frontend f
    bind @L1@
    stick-table type string len 64 size 1k expire 1h store http_req_rate(1h)
    http-request track-sc0 req.hdr(Authorization)
    http-request deny deny_status 429 if { sc0_http_req_rate gt 2 }
    default_backend a
backend a
    server a1 @a1@
`, requests: []request{
		{path: "/", times: 9}, {path: "/", times: 5, headers: map[string]string{"Authorization": "Bearer one"}}, {path: "/", times: 5},
	}},
	{name: "ports and networks", watch: []string{"X-Net"}, text: haproxyDefaults + `
frontend f
    bind @L1@,@L2@
    acl near src 127.0.0.0/24
    acl desk src 127.0.0.7 127.0.1.0/24
    acl far src 127.5.0.0/16
    http-request set-header X-Port %[dst_port]
    http-request set-header X-Near yes if near
    http-request set-header X-Desk yes if desk
    http-request set-header X-Far yes if far
    http-request set-header X-Host %[req.hdr(host),field(1,:)]
    http-request set-path /v2%[path] if { path_beg /old/ }
    http-request set-header X-Path %[path]
    default_backend a
backend a
    server a1 @a1@
`, requests: []request{
		{path: "/", host: "@", source: "127.0.0.7"}, {path: "/", host: "@", source: "127.0.0.8"}, {path: "/", host: "@", source: "127.0.1.9"}, {path: "/", host: "@", source: "127.5.6.7"},
		{listener: 2, path: "/", host: "@", source: "127.9.0.1"}, {path: "/old/x?q=1", host: "h"},
	}},
	{name: "cookies of one backend of two", watch: []string{"Set-Cookie"}, text: haproxyDefaults + `
frontend f
    bind @L1@
    use_backend b if { path_beg /b/ }
    default_backend a
frontend g
    bind @L2@
    use_backend a if { path_beg /a/ }
    use_backend c if { path_beg /c/ }
    default_backend b
backend a
    cookie PLACE insert indirect nocache
    server a1 @a1@ cookie one
    server a2 @a2@ cookie two
backend b
    server b1 @b1@
backend c
    cookie OTHER insert indirect nocache
    server c1 @c1@ cookie one
    server c2 @c2@ cookie two
`, requests: []request{
		{path: "/", times: 4, jar: true, policy: sticky}, {path: "/b/"}, {path: "/b/", headers: map[string]string{"Cookie": "PLACE=one; mine=x"}},
		{listener: 2, path: "/"}, {listener: 2, path: "/a/", times: 4, jar: true, policy: sticky}, {listener: 2, path: "/c/", times: 4, jar: true, policy: sticky},
	}},
	{name: "connections in order, and proxies in front", text: `
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend proxied
    bind @L1@ accept-proxy
    tcp-request connection reject unless { src 127.0.0.0/24 }
    tcp-request session reject if { src 192.0.2.66 }
    default_backend lines
frontend direct
    bind @L2@
    tcp-request connection accept if { src 127.0.0.7 }
    tcp-request connection reject if { src 127.0.0.0/24 }
    default_backend lines
backend lines
    server t1 @t1@
`, requests: []request{
		{tcp: true, source: "127.0.0.9", path: "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\nhello"}, {tcp: true, source: "127.0.0.9", path: "PROXY TCP4 192.0.2.66 192.0.2.2 1000 80\r\nhello"},
		{tcp: true, source: "127.0.5.9", path: "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\nhello"},
		{listener: 2, tcp: true, source: "127.0.0.7", path: "hello"}, {listener: 2, tcp: true, source: "127.0.0.8", path: "hello"}, {listener: 2, tcp: true, source: "127.0.1.8", path: "hello"},
	}},
	{name: "rules see what those before them did", watch: []string{"X-In", "X-Of", "Strict-Transport-Security"}, text: haproxyDefaults + `
frontend f
    bind @L1@
    bind @L2@ ssl crt @CERT@
    redirect location /gone if { path_beg /old }
    http-request deny if { path /old/secret }
    http-request allow if { path /old/open }
    http-request set-header X-Env beta if { src 127.0.0.7 }
    http-request set-header X-Scheme https if { ssl_fc }
    http-request del-header X-Drop
    http-request add-header X-Team red if { path_beg /red }
    http-request set-header Host inner.example.com if { path_beg /inner }
    http-request set-header Host %[req.hdr(host),lower] if { path_beg /same }
    http-request deny if { hdr(X-Drop) -m found }
    http-request deny if { hdr(X-Team) red } { hdr(X-Env) beta }
    http-request redirect location http://%[hdr(host)]/moved if { path /inner/moved }
    http-response set-header Strict-Transport-Security max-age=1 if { ssl_fc }
    http-response set-header X-In yes if { src 127.0.0.7 }
    http-response set-header X-Of post if { method POST }
    use_backend b if { hdr(X-Env) beta }
    use_backend b if { hdr(X-Scheme) https }
    use_backend c if { hdr(host) -i inner.example.com }
    use_backend d if !{ hdr(X-Team) -m found } { path_beg /team }
    default_backend a
backend a
    http-request set-header X-Quoted %{+Q}[method]
    http-request set-header X-Variable "%{+Q}HM %HM"
    server a1 @a1@
backend b
    http-request deny if !{ hdr(X-Env) -m found } { path /only }
    server b1 @b1@
backend c
    server c1 @c1@
backend d
    server d1 @d1@
`, requests: []request{
		{path: "/"}, {path: "/old/secret"}, {path: "/old/open"}, {path: "/old/x"}, {path: "/", source: "127.0.0.7"}, {path: "/", headers: map[string]string{"X-Env": "beta"}},
		{path: "/", headers: map[string]string{"X-Env": "beta", "X-Drop": "x"}}, {path: "/", headers: map[string]string{"X-Drop": "x"}}, {path: "/", headers: map[string]string{"X-Scheme": "https"}},
		{path: "/red"}, {path: "/red", source: "127.0.0.7"}, {path: "/red", headers: map[string]string{"X-Env": "beta"}}, {path: "/red", headers: map[string]string{"X-Team": "blue"}},
		{path: "/inner/x"}, {path: "/inner/moved"}, {path: "/", host: "inner.example.com"}, {path: "/same", host: "inner.example.com"}, {path: "/inner", source: "127.0.0.7"},
		{path: "/team"}, {path: "/team", headers: map[string]string{"X-Team": "x"}}, {path: "/", method: "POST", body: "x", source: "127.0.0.7"}, {path: "/", method: "POST", body: "x"},
		{listener: 2, tls: true, path: "/"}, {listener: 2, tls: true, path: "/only"}, {listener: 2, tls: true, path: "/only", source: "127.0.0.7"}, {listener: 2, tls: true, path: "/", method: "POST", body: "x"},
	}},
	{name: "backends without servers, and pages", watch: []string{"Retry-After", "X-Brace"}, text: haproxyDefaults + `
    errorfile 429 @DIR@/page.http
frontend f
    bind @L1@
    http-request deny deny_status 429 if { path /slow }
    http-request deny deny_status 413 if { req.hdr_val(content-length) gt 10 } { path /up }
    http-request return status 404 errorfile @DIR@/page.http if { path /file }
    http-request return status 429 default-errorfiles if { path /usual }
    use_backend none if { path_beg /none }
    default_backend a
backend a
    server a1 @a1@
backend none
    errorfile 503 @DIR@/page.http
`, requests: []request{
		{path: "/"}, {path: "/slow"}, {path: "/file"}, {path: "/usual"}, {path: "/none/x"}, {path: "/up", method: "POST", body: "short"}, {path: "/up", method: "POST", body: "longer than that"}, {path: "/other", method: "POST", body: "longer than that"},
	}},
	{name: "the golden file forms.cfg", text: `
global
    setenv DOMAIN example.com
defaults
    mode http
    timeout connect 2500us
    timeout connect 3000
    timeout client 2m
    timeout server 1h
    timeout tunnel 2d
frontend forms
    bind "@L1@"
    bind @L2@
    http-request set-header X-Quoted "a \"b\" c"
    http-request set-header X-Single 'it is "so"'
    http-request set-header X-Escaped a\ b\#c
    http-request set-header X-Env "${DOMAIN}"
    http-request set-header X-Percent 100%%\ of\ %[path]
    acl name hdr(host) -i "www.${DOMAIN}" # the name
    acl exact path -- -dash
    acl many path_beg /one /two
    acl many path_beg /three
    use_backend b2 if name many
    use_backend b2 if { path /x } || { path /y }
    use_backend b1 unless many or name
    default_backend b1
backend b1
    server s1 @a1@
backend b2
    default-server weight 10
    server s1 @b1@ weight 5
    default-server weight 20 maxconn 7
    server s2 @b2@
`, requests: []request{
		{path: "/?a=b%20c"}, {listener: 2, path: "/p%20q"}, {host: "www.example.com", path: "/one"}, {host: "WWW.example.com", path: "/two/x"}, {host: "www.example.com", path: "/four"}, {path: "/three"},
		{path: "/x"}, {path: "/y"}, {path: "/x/z"}, {path: "/z"}, {host: "www.example.com", path: "/three", times: 10, policy: spread}, {host: "example.com", path: "/one"},
	}},
	{name: "the golden file grown.cfg, as HAProxy 2.6 reads it", partial: true, text: `
defaults
	mode	http
	balance	roundrobin
	option	httpclose
	option	forwardfor
	timeout connect	5000
	timeout client	50000
	timeout server	50000
listen webfarm
	bind @L1@
	stats enable
	stats uri /haproxy?stats
	server web1 @a1@ cookie A check
	server web2 @a2@ cookie B check
frontend jump
	bind @L2@
	redirect prefix https://www.example.com code 301 if { hdr(host) -i example.com }
	redirect location /login if { path / }
	http-request deny if { path_beg /private }
	default_backend app
backend app
	balance url_param userid
	server app1 @b1@ check inter 2000 rise 2 fall 5
	server app2 @b2@ check inter 2000 rise 2 fall 5
`, requests: []request{
		{path: "/", times: 4}, {path: "/a?b=c", source: "127.0.0.9"},
		{listener: 2, path: "/"}, {listener: 2, path: "/?q"}, {listener: 2, path: "/login"}, {listener: 2, host: "example.com", path: "/"}, {listener: 2, host: "Example.com", path: "/private/x?y=z"},
		{listener: 2, host: "example.com", path: "/x?y=z"}, {listener: 2, path: "/private"}, {listener: 2, path: "/private/x"}, {listener: 2, path: "/x", method: "POST", body: "x"},
	}},
	{name: "the golden file ingress.cfg, without Lua", partial: true, watch: []string{"Set-Cookie"}, text: `
global
    maxconn 1000
    hard-stop-after 10m
    ssl-default-bind-options no-sslv3 no-tlsv10 no-tlsv11 no-tls-tickets
defaults
    maxconn 2000
    option redispatch
    option http-server-close
    option http-keep-alive
    timeout client 50s
    timeout client-fin 50s
    timeout connect 5s
    timeout http-keep-alive 1m
    timeout http-request 5s
    timeout queue 5s
    timeout server 50s
    timeout server-fin 50s
    timeout tunnel 1h
backend default_web_http
    mode http
    balance roundrobin
    acl https-request ssl_fc
    acl https-request var(txn.proto) -m str https
    http-request redirect scheme https if !https-request { path_beg /secure }
    http-request del-header x-forwarded-for
    option forwardfor
    cookie INGRESSCOOKIE insert indirect nocache httponly
    server srv001 @a1@ weight 1 cookie srv001 check inter 2s
    server srv002 @a2@ weight 1 cookie srv002 check inter 2s
    server srv003 @a3@ disabled weight 1 cookie srv003 check inter 2s
backend _error404
    mode http
    http-request return status 404 content-type text/html string "<h1>404 Not Found</h1>"
frontend _front_http
    mode http
    bind @L1@
    http-request set-var(req.path) path
    http-request set-var(req.host) hdr(host),field(1,:),lower
    http-request set-header X-Forwarded-Proto http
    use_backend %[req.hdr(host),lower,map(@DIR@/hosts.map,_error404)]
frontend healthz
    mode http
    bind @L2@
    monitor-uri /healthz
`, requests: []request{
		{host: "web.example.com", path: "/", times: 6, policy: even}, {host: "WEB.example.com", path: "/x", times: 4, jar: true, policy: sticky}, {host: "other.example.com", path: "/"},
		{listener: 2, path: "/healthz"}, {listener: 2, path: "/"},
	}},
}
