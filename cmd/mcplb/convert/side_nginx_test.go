package convert

// The configurations of nginx that are compared.

const nginxHead = `
user root;
daemon off;
worker_processes 1;
pid @DIR@/nginx.pid;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events { worker_connections 512; }
`

const nginxTemp = `
    access_log off;
    client_body_temp_path @DIR@/body; proxy_temp_path @DIR@/proxy; fastcgi_temp_path @DIR@/fastcgi; uwsgi_temp_path @DIR@/uwsgi; scgi_temp_path @DIR@/scgi;
`

var nginxComparisons = []comparison{
	{name: "names and locations", text: nginxHead + `
http {` + nginxTemp + `
    server {
        listen @L1@ default_server;
        server_name _;
        location / { proxy_pass http://@a1@; }
        location = /exact { proxy_pass http://@b1@; }
        location /long { proxy_pass http://@c1@; }
        location /long/er { proxy_pass http://@d1@; }
    }
    server {
        listen @L1@;
        server_name one.example.com *.wild.example.com;
        location /long { proxy_pass http://@e1@; }
    }
    server {
        listen @L1@;
        server_name deep.wild.example.com .dot.example.com;
        location / { proxy_pass http://@f1@; }
    }
}
`, requests: []request{
		{path: "/"}, {path: "/exact"}, {path: "/exact/x"}, {path: "/long"}, {path: "/long/x"}, {path: "/long/er/x?a=b"},
		{host: "one.example.com", path: "/long/x"}, {host: "one.example.com", path: "/other"}, {host: "a.wild.example.com", path: "/long/er"}, {host: "deep.wild.example.com", path: "/long"},
		{host: "dot.example.com", path: "/"}, {host: "a.dot.example.com", path: "/"}, {host: "unknown.example.com", path: "/long"},
	}},
	{name: "headers by level", watch: []string{"X-Level", "X-Powered-By"}, text: nginxHead + `
http {` + nginxTemp + `
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    add_header X-Level http always;
    upstream pool { server @a1@; }
    server {
        listen @L1@;
        location / { proxy_pass http://pool; }
        location /own { proxy_set_header X-Own own; proxy_pass http://pool; }
        location /host { proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_pass http://pool; }
        location /removed { proxy_set_header Host fixed.example.com; proxy_set_header X-Client ""; proxy_hide_header X-Powered-By; proxy_pass http://pool; }
        location /level { add_header X-Level location always; proxy_pass http://pool; }
        location /text { proxy_set_header X-Text "$request_method $request_uri {x} \"q\""; proxy_pass http://@b1@; }
    }
}
`, requests: []request{
		{path: "/", host: "h.example.com", headers: map[string]string{"X-Client": "c"}}, {path: "/own", host: "h.example.com"}, {path: "/host", host: "h.example.com"},
		{path: "/removed", host: "h.example.com", headers: map[string]string{"X-Client": "c"}}, {path: "/level", host: "h.example.com"}, {path: "/text?q=1", host: "h.example.com"},
	}},
	{name: "paths, answers and redirects", text: nginxHead + `
http {` + nginxTemp + `
    server {
        listen @L1@;
        server_name side.example.com;
        default_type text/plain;
        if ($request_method = DELETE) { return 405; }
        if ($http_x_deny = yes) { return 403; }
        location /uri/ { proxy_pass http://@a1@/; proxy_set_header Host $http_host; }
        location /base/ { proxy_pass http://@a1@/other/; proxy_set_header Host $http_host; }
        location /kept/ { proxy_pass http://@a1@; proxy_set_header Host $http_host; }
        location /strip/ { rewrite ^/strip/(.*)$ /$1 break; proxy_pass http://@a1@; proxy_set_header Host $http_host; }
        location = /text { return 200 "plain"; }
        location = /gone { return 410; }
        location /old { return 301 https://new.example.com$request_uri; }
        location = /rewritten { rewrite ^ /new permanent; }
        location ~ ^/regex/ { return 404; }
        location / { proxy_pass http://@b1@; proxy_set_header Host $http_host; }
    }
}
`, requests: []request{
		{path: "/uri", host: "@"}, {path: "/uri?q=1&r", host: "@"}, {path: "/base?", host: "@"}, {path: "/uri/", host: "h"}, {path: "/uri/x?q=1", host: "h"}, {path: "/base/x/y", host: "h"}, {path: "/kept/x", host: "h"}, {path: "/strip/a/b?q", host: "h"}, {path: "/text", host: "h"}, {path: "/gone", host: "h"},
		{path: "/old/x?q=1", host: "h"}, {path: "/regex/x", host: "h"}, {path: "/", host: "h"}, {path: "/", host: "h", method: "DELETE"}, {path: "/uri/", host: "h", headers: map[string]string{"X-Deny": "yes"}},
	}},
	{name: "limits and access", text: nginxHead + `
http {` + nginxTemp + `
    limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
    limit_req_zone $http_x_key zone=key:1m rate=1r/m;
    limit_req_status 429;
    server {
        listen @L1@;
        location / { limit_req zone=one burst=4 nodelay; proxy_pass http://@a1@; }
        location /key { limit_req zone=key; proxy_pass http://@a1@; }
        location /office { allow 127.0.0.7; deny all; proxy_pass http://@a1@; }
        location /banned { deny 127.0.0.0/30; allow 127.0.0.0/8; deny all; proxy_pass http://@a1@; }
        location /read { limit_except GET { deny all; } proxy_pass http://@a1@; }
        location /small { client_max_body_size 1k; proxy_pass http://@a1@; }
    }
}
`, requests: []request{
		{path: "/", times: 9, source: "127.0.0.8"}, {path: "/", times: 2, source: "127.0.0.9"}, {path: "/key", times: 3, headers: map[string]string{"X-Key": "k"}},
		{path: "/office", source: "127.0.0.7"}, {path: "/office", source: "127.0.0.8"}, {path: "/banned", source: "127.0.0.2"}, {path: "/banned", source: "127.0.0.8"},
		{path: "/read"}, {path: "/read", method: "POST", body: "x"}, {path: "/small", method: "POST", body: string(make([]byte, 2000))}, {path: "/small", method: "POST", body: "x"},
	}},
	{name: "upstreams", text: nginxHead + `
http {` + nginxTemp + `
    upstream turns { server @a1@; server @a2@; server @a3@ backup; server @a4@ down; }
    upstream weights { server @b1@ weight=3; server @b2@; }
    upstream hashed { ip_hash; server @c1@; server @c2@; server @c3@; }
    upstream least { least_conn; server @d1@; }
    map $http_x_pool $pool { default turns; weights weights; }
    server {
        listen @L1@;
        location / { proxy_pass http://turns; }
        location /weights { proxy_pass http://weights; }
        location /hashed { proxy_pass http://hashed; }
        location /least { proxy_pass http://least; }
        location /mapped { proxy_pass http://$pool; }
    }
}
`, requests: []request{
		{path: "/", times: 10, policy: even}, {path: "/weights", times: 8, policy: even}, {path: "/hashed", times: 6, policy: sticky, source: "127.0.0.8"}, {path: "/least"},
		{path: "/mapped"}, {path: "/mapped", headers: map[string]string{"X-Pool": "weights"}},
	}},
	{name: "streams and TLS", watch: []string{"Strict-Transport-Security"}, text: nginxHead + `
stream {
    upstream lines { server @t1@; server @t2@; }
    server { listen @L1@; proxy_pass lines; deny 127.0.0.66; }
}
http {` + nginxTemp + `
    add_header Strict-Transport-Security max-age=1000 always;
    server {
        listen @L2@ ssl;
        ssl_certificate @CERT@;
        ssl_certificate_key @CERT@;
        ssl_protocols TLSv1.2 TLSv1.3;
        location / { proxy_pass http://@a1@; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header Host $http_host; }
    }
}
`, requests: []request{
		{tcp: true, path: "hello", times: 6, policy: spread}, {tcp: true, path: "hello", source: "127.0.0.66"}, {listener: 2, tls: true, path: "/x", host: "side.example.com"},
	}},
	{name: "regular expressions and exact paths", text: nginxHead + `
http {` + nginxTemp + `
    map $http_x_pool $pool { default a; ~^b b; c c; "" a; }
    upstream a { server @a1@; }
    upstream b { server @b1@; }
    upstream c { server @c1@; }
    server {
        listen @L1@ default_server;
        rewrite ^/(alt|neu)$ /new redirect;
        rewrite ^/bare$ /new? permanent;
        location = /exact { proxy_pass http://@a1@; }
        location = /exact/ { proxy_pass http://@b1@; }
        location ~ ^/(v1|v2)/ { proxy_pass http://@c1@; }
        location ~ ^/v1/x { proxy_pass http://@d1@; }
        location ^~ /v2/first/ { proxy_pass http://@d1@; }
        location ~ ^/end$ { proxy_pass http://@e1@; }
        location /args { return 302 /other$is_args$args; }
        location /mapped { proxy_pass http://$pool; }
        location /cut/ { rewrite ^/cut(/.*)$ $1 break; proxy_pass http://@e1@; }
        location / { proxy_pass http://@f1@; }
    }
    server {
        listen @L1@;
        server_name ~^(www\.)?(red|blue)\.example\.net$;
        location / { proxy_pass http://@b1@; }
    }
    server {
        listen @L2@;
        server_name .first.example.com second.example.com;
        location / { if ($host ~ ^(a|b)\.first\.example\.com$) { return 410; } return 302 http://$server_name/x; }
    }
}
`, requests: []request{
		{path: "/exact", host: "h"}, {path: "/exact/", host: "h"}, {path: "/exact/x", host: "h"}, {path: "/v1/x", host: "h"}, {path: "/v2/y", host: "h"}, {path: "/v2/first/y", host: "h"}, {path: "/v3/y", host: "h"}, {path: "/end", host: "h"}, {path: "/end/", host: "h"}, {path: "/ending", host: "h"},
		{path: "/args?a=b", host: "@"}, {path: "/args", host: "@"}, {path: "/mapped", host: "h"}, {path: "/mapped", host: "h", headers: map[string]string{"X-Pool": "blue"}}, {path: "/mapped", host: "h", headers: map[string]string{"X-Pool": "c"}}, {path: "/cut/a/b?q", host: "h"}, {path: "/cut/", host: "h"},
		{path: "/alt?q=1", host: "@"}, {path: "/neu", host: "@"}, {path: "/bare?q=1", host: "@"},
		{path: "/", host: "red.example.net"}, {path: "/", host: "www.blue.example.net"}, {path: "/", host: "green.example.net"},
		{listener: 2, path: "/", host: "a.first.example.com"}, {listener: 2, path: "/", host: "c.first.example.com"}, {listener: 2, path: "/", host: "second.example.com"},
	}},
	{name: "conditions on maps", text: nginxHead + `
http {` + nginxTemp + `
    geo $blocked { default 0; 127.0.1.0/24 1; 127.0.1.7/32 0; 127.0.2.0/24 1; }
    geo $remote_addr $office { default no; 127.0.0.0/16 yes; }
    map $http_x_key $known { default 0; one 1; ~^two- 1; }
    map $host $closed { hostnames; default ""; *.closed.example.com yes; open.closed.example.com ""; }
    server {
        listen @L1@;
        if ($blocked) { return 403; }
        if ($office = no) { return 410; }
        if ($closed) { return 503; }
        location / { proxy_pass http://@a1@; }
        location /key { if ($known != 1) { return 401; } proxy_pass http://@b1@; }
    }
}
`, requests: []request{
		{path: "/", source: "127.0.0.7"}, {path: "/", source: "127.0.1.8"}, {path: "/", source: "127.0.1.7"}, {path: "/", source: "127.0.2.1"}, {path: "/", source: "127.5.0.1"}, {path: "/key"},
		{path: "/key", headers: map[string]string{"X-Key": "one"}}, {path: "/key", headers: map[string]string{"X-Key": "two-four"}}, {path: "/key", headers: map[string]string{"X-Key": "two-three"}},
		{path: "/", host: "a.closed.example.com"}, {path: "/", host: "open.closed.example.com"}, {path: "/", host: "closed.example.com"},
	}},
	{name: "limits of those alone who have the header, and dry runs", text: nginxHead + `
http {` + nginxTemp + `
    limit_req_zone $http_authorization zone=key:1m rate=1r/m;
    limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
    limit_req_status 429;
    server {
        listen @L1@;
        location / { limit_req zone=key burst=2 nodelay; proxy_pass http://@a1@; }
        location /dry { limit_req zone=one; limit_req_dry_run on; proxy_pass http://@a1@; }
    }
}
`, requests: []request{
		{path: "/", times: 9}, {path: "/", times: 6, headers: map[string]string{"Authorization": "one"}}, {path: "/", times: 3}, {path: "/dry", times: 4},
	}},
	{name: "generated responses, hosts and ports", watch: []string{"X-Always", "X-Sometimes"}, text: nginxHead + `
http {` + nginxTemp + `
    add_header X-Always yes always;
    add_header X-Sometimes yes;
    server {
        listen @L1@;
        listen @L2@;
        location /denied { deny all; proxy_pass http://@a1@; }
        location /locked { return 403; }
        location /gone { return 410 gone; }
        location /ok { return 200 ok; }
        location /moved { return 301 https://$host:8443$request_uri; }
        location /host { proxy_set_header Host $host; proxy_set_header X-Port $server_port; proxy_pass http://@a1@; }
        location /both { proxy_set_header Host $host:$server_port; proxy_pass http://@a1@; }
        location /read { limit_except GET { deny all; } proxy_pass http://@a1@; }
    }
}
`, requests: []request{
		{path: "/denied"}, {path: "/locked"}, {path: "/gone"}, {path: "/ok"}, {path: "/nothing"}, {path: "/moved/x?q=1", host: "@"}, {path: "/host", host: "@"}, {path: "/host", host: "H.example.com:99"},
		{path: "/both", host: "h"}, {listener: 2, path: "/both", host: "h:99"}, {listener: 2, path: "/host", host: "h"}, {path: "/read", method: "POST", body: "x"}, {path: "/read"},
	}},
	{name: "connections in order", text: nginxHead + `
stream {
    upstream lines { server @t1@; }
    server { listen @L1@; proxy_pass lines; allow 127.0.0.7; deny 127.0.0.0/24; }
    server { listen @L2@; proxy_pass lines; deny 127.0.0.8; allow 127.0.0.0/24; deny all; }
}
`, requests: []request{
		{tcp: true, path: "hello", source: "127.0.0.7"}, {tcp: true, path: "hello", source: "127.0.0.8"}, {tcp: true, path: "hello", source: "127.0.1.8"},
		{listener: 2, tcp: true, path: "hello", source: "127.0.0.7"}, {listener: 2, tcp: true, path: "hello", source: "127.0.0.8"}, {listener: 2, tcp: true, path: "hello", source: "127.0.1.8"},
	}},
	{name: "media types", watch: []string{"Content-Type"}, text: nginxHead + `
http {` + nginxTemp + `
    server { listen @L1@; charset utf-8;
        location = /text { return 200 "ok"; }
        location = /html { add_header Content-Type text/html; return 200 "ok"; }
        location = /json { default_type application/json; return 200 '{"status":"UP"}'; }
        location = /none { add_header Content-Type text/html; add_header Content-Length 0; return 204; }
        location = /off { charset off; return 200 "ok"; }
    }
}
`, requests: []request{{path: "/text"}, {path: "/html"}, {path: "/json"}, {path: "/none"}, {path: "/off"}}},
	{name: "denials and conditions that choose", text: nginxHead + `
http {` + nginxTemp + `
    map $http_x_canary $pool { default stable; "1" canary; }
    upstream stable { server @a1@; }
    upstream canary { server @b1@; }
    limit_req_zone $http_x_key zone=key:1m rate=100r/s;
    server { listen @L1@;
        location / { deny 127.0.0.8; limit_req zone=key burst=20 nodelay; proxy_pass http://$pool; }
        location /none { deny all; proxy_pass http://$pool; }
        location /open { allow all; proxy_pass http://$pool; }
    }
}
`, requests: []request{
		{path: "/x", source: "127.0.0.8"}, {path: "/x", source: "127.0.0.8", headers: map[string]string{"X-Canary": "1"}}, {path: "/x", source: "127.0.0.8", headers: map[string]string{"X-Canary": "1", "X-Key": "1"}},
		{path: "/none"}, {path: "/none", headers: map[string]string{"X-Canary": "1"}}, {path: "/open", source: "127.0.0.8", headers: map[string]string{"X-Canary": "1"}}, {path: "/open", source: "127.0.0.8"},
	}},
	{name: "ifs that choose", watch: []string{"X-If", "X-Location"}, text: nginxHead + `
http {` + nginxTemp + `
    server { listen @L1@; add_header X-Location server;
        location / {
            proxy_set_header X-Own own;
            if ($request_method = POST) { add_header X-If post; }
            if ($http_x_canary = 1) { proxy_pass http://@b1@; }
            if ($http_x_stop = 1) { return 410; }
            if ($http_upgrade = websocket) { proxy_pass http://@c1@; }
            proxy_pass http://@a1@;
        }
        location /denied { deny all; if ($request_method = POST) { proxy_pass http://@b1@; } proxy_pass http://@a1@; }
        location /path/ { if ($http_x_canary) { add_header X-If canary; } proxy_pass http://@a1@/other/; }
    }
}
`, requests: []request{
		{path: "/x"}, {path: "/x", method: "POST"}, {path: "/x", headers: map[string]string{"X-Canary": "1"}}, {path: "/x", method: "POST", headers: map[string]string{"X-Canary": "1"}}, {path: "/x", method: "POST", headers: map[string]string{"X-Canary": "1", "X-Stop": "1"}},
		{path: "/x", headers: map[string]string{"X-Stop": "1"}}, {path: "/denied"}, {path: "/denied", method: "POST"}, {path: "/path/x"}, {path: "/path/x", headers: map[string]string{"X-Canary": "yes"}}, {path: "/path"},
	}},
	{name: "limits with exceptions", text: nginxHead + `
http {` + nginxTemp + `
    geo $limited { default 1; 127.0.0.8 0; }
    map $limited $limit_key { 0 ""; 1 $binary_remote_addr; }
    map $http_x_api_key $by_key { default $binary_remote_addr; secret ""; }
    limit_req_zone $limit_key zone=a:1m rate=1r/m;
    limit_req_zone $by_key zone=b:1m rate=1r/m;
    limit_req_zone $binary_remote_addr zone=c:1m rate=1r/m;
    limit_req_status 429;
    server { listen @L1@;
        location /geo { limit_req zone=a burst=2 nodelay; deny 127.0.0.9; proxy_pass http://@a1@; }
        location /key { limit_req zone=b burst=2 nodelay; proxy_pass http://@a1@; }
        location /two { limit_req zone=a burst=2 nodelay; limit_req zone=c burst=5 nodelay; proxy_pass http://@a1@; }
    }
}
`, requests: []request{
		{path: "/geo", times: 6, source: "127.0.0.7"}, {path: "/geo", times: 6, source: "127.0.0.8"}, {path: "/geo", source: "127.0.0.9"}, {path: "/key", times: 6}, {path: "/key", times: 6, headers: map[string]string{"X-Api-Key": "secret"}},
		{path: "/two", times: 9, source: "127.0.0.10"}, {path: "/two", times: 9, source: "127.0.0.8"},
	}},
	{name: "paths of variables", text: nginxHead + `
http {` + nginxTemp + `
    server { listen @L1@;
        location ~ ^/svc/(.*)$ { proxy_pass http://@a1@/$1$is_args$args; }
        location ~ ^/base/(.*)$ { proxy_pass http://@b1@/other/$1?$args; }
        location ~ ^/root(/.*)$ { proxy_pass http://@c1@$1$is_args$args; }
        location ~ ^/both(/.*)$ { proxy_pass http://@c1@/x$1$is_args$args; }
        location ~ ^/(v1|v2)/ { proxy_pass http://@d1@$request_uri; }
        location / { proxy_pass http://@d1@$uri$is_args$args; }
    }
}
`, requests: []request{
		{path: "/svc/x/y?q=1"}, {path: "/svc/"}, {path: "/base/x?q=1&r"}, {path: "/root/x?q"}, {path: "/both/x/y"}, {path: "/both/"}, {path: "/v1/x?q"}, {path: "/v2/"}, {path: "/x/y?q=1"}, {path: "/"},
	}},
	{name: "values known when the file is read", watch: []string{"X-Hsts", "X-None"}, text: nginxHead + `
http {` + nginxTemp + `
    map $scheme $hsts { https max-age=1; }
    map $scheme $plain { http yes; default no; }
    map $http_x_forwarded_proto $proto { default $http_x_forwarded_proto; "" $scheme; }
    server { listen @L1@; listen @L2@ ssl; ssl_certificate @CERT@; ssl_certificate_key @CERT@;
        add_header X-Hsts $hsts always; add_header X-None "" always;
        location / { proxy_pass http://@a1@; proxy_set_header X-Plain $plain; proxy_set_header X-Forwarded-Proto $proto; proxy_set_header X-Hsts $hsts; }
        location ~ ^/(robots.txt|x.y)$ { proxy_pass http://@b1@; }
    }
}
`, requests: []request{{path: "/"}, {listener: 2, tls: true, path: "/"}, {path: "/", headers: map[string]string{"X-Hsts": "client"}}, {path: "/robots.txt"}, {path: "/x.y"}, {path: "/x.z"}}},
	{name: "answers before access", text: nginxHead + `
http {` + nginxTemp + `
    server { listen @L1@;
        location = /h { allow 10.0.0.0/8; deny all; return 200 "ok"; }
        location /if { allow 10.0.0.0/8; deny all; if ($request_method = OPTIONS) { return 204; } if ($http_x_a = b) { return 410; } proxy_pass http://@a1@; }
        location /methods { limit_except GET { deny all; } if ($request_method = OPTIONS) { return 204; } proxy_pass http://@a1@; }
        location = /reads { limit_except GET { deny all; } return 200 "ok"; }
        location / { deny 127.0.0.8; if ($http_x_a = b) { return 405; } proxy_pass http://@a1@; }
    }
    server { listen @L2@; deny all;
        location = /h { return 200 "ok"; }
        location / { proxy_pass http://@a1@; }
    }
}
`, requests: []request{
		{path: "/h"}, {path: "/if"}, {path: "/if", method: "OPTIONS"}, {path: "/if", headers: map[string]string{"X-A": "b"}}, {path: "/methods", method: "OPTIONS"}, {path: "/methods", method: "PUT"}, {path: "/methods"}, {path: "/reads"}, {path: "/reads", method: "POST"},
		{path: "/", source: "127.0.0.8"}, {path: "/", source: "127.0.0.8", headers: map[string]string{"X-A": "b"}}, {path: "/", headers: map[string]string{"X-A": "b"}}, {listener: 2, path: "/h"}, {listener: 2, path: "/"},
	}},
	{name: "slashes, hosts and ports of redirects", text: nginxHead + `
http {` + nginxTemp + `
    server { listen @L1@; charset utf-8; default_type text/html;
        location / { proxy_pass http://@a1@/root/; proxy_set_header Authorization $http_authorization; proxy_set_header Connection ""; }
        location /gone/ { return 410; }
        location /app/ { proxy_pass http://@b1@/; }
        location /reg/ { proxy_pass http://@c1@; }
        location ~ ^/reg { return 410; }
        location ~ ^/(img|css)/ { return 418; }
        location /pair { return 302 /pair/; }
        location /pair/ { proxy_pass http://@c1@; }
        location /all { if ($scheme = http) { return 418; } proxy_pass http://@b1@; }
        location = /cors { add_header Content-Length 0; add_header X-A a; return 204; }
    }
    server { listen @L2@; root @DIR@/none; port_in_redirect off; try_files $uri @app;
        location @app { proxy_pass http://@d1@; }
        location /app/ { proxy_pass http://@e1@; }
    }
}
`, requests: []request{
		{path: "/gone"}, {path: "/gone/"}, {path: "/gone/x"}, {path: "/app", host: "H.example.com:99"}, {path: "/app?q=1", host: "h"}, {path: "/app/x"}, {path: "/reg", host: "h"}, {path: "/img"}, {path: "/img/"}, {path: "/css/x"}, {path: "/reg/x"}, {path: "/pair", host: "h"}, {path: "/pair/"}, {path: "/pair/x"},
		{path: "/all"}, {path: "/cors"}, {path: "/x", headers: map[string]string{"Authorization": "Bearer x"}}, {listener: 2, path: "/x"}, {listener: 2, path: "/app", host: "h:99"}, {listener: 2, path: "/app/"},
	}},
	{name: "paths before conditions on hosts", text: nginxHead + `
http {` + nginxTemp + `
    map $host $pool { hostnames; default d; a.example.com a; *.b.example.com b; own.example.com b; }
    map $host $closed { default 0; a.example.com 1; c.example.com 1; own.example.com 1; }
    upstream a { server @a1@; }
    upstream b { server @b1@; }
    upstream d { server @d1@; }
    server {
        listen @L1@;
        location / { proxy_pass http://$pool; proxy_set_header Host $http_host; }
        location /private/ { deny all; }
        location /internal { internal; proxy_pass http://a; }
        location /other { proxy_pass http://@e1@; proxy_set_header Host $http_host; }
        location /closed { if ($closed) { return 403; } proxy_pass http://@e1@; proxy_set_header Host $http_host; }
        location = /exact { return 204; }
    }
    server {
        listen @L1@;
        server_name own.example.com www.own.example.com;
        location / { proxy_pass http://@f1@; proxy_set_header Host $http_host; }
        location /closed { if ($closed) { return 403; } proxy_pass http://@f1@; proxy_set_header Host $http_host; }
    }
}
`, requests: []request{
		{host: "a.example.com", path: "/"}, {host: "x.b.example.com", path: "/x"}, {host: "z.example.com", path: "/"}, {host: "own.example.com", path: "/x"}, {host: "a.example.com", path: "/private/x"}, {host: "x.b.example.com", path: "/private/"},
		{host: "a.example.com", path: "/internal"}, {host: "a.example.com", path: "/other/x"}, {host: "z.example.com", path: "/other"}, {host: "a.example.com", path: "/exact"}, {host: "own.example.com", path: "/exact"}, {host: "own.example.com", path: "/private/x"},
		{host: "a.example.com", path: "/closed"}, {host: "c.example.com", path: "/closed/x"}, {host: "z.example.com", path: "/closed"}, {host: "own.example.com", path: "/closed"}, {host: "www.own.example.com", path: "/closed"},
	}},
}
