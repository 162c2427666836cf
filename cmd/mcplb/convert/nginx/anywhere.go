package nginx

import (
	"net/netip"
	"strings"
)

// anywhere are the directives of http, server and stream that count for the process.
// A new one is one entry.
var anywhere = map[string]func(c *converter, n *node){
	"access_log":       accessLog,
	"resolver":         resolver,
	"resolver_timeout": resolverTimeout,
}

// accessLog translates the first log that is on.
func accessLog(c *converter, n *node) {
	target := n.arg(0)
	switch {
	case target == "off":
		n.Unneeded("there is one access log, or none")
		return
	case c.config.Global.Has("access_log"):
		c.config.Global.Differ(n.Directive, "access_log", "there is one access log")
		return
	case strings.HasPrefix(target, "syslog:"):
		target = "syslog:" + strings.Join(strings.FieldsFunc(strings.TrimPrefix(target, "syslog:"), func(r rune) bool { return r == ',' }), ",")
	case target == "/dev/stdout" || target == "/dev/stderr":
		target = strings.TrimPrefix(target, "/dev/")
	case strings.Contains(target, "$"):
		n.Impossible("the access log is one file: %s", target)
		return
	}
	c.config.Global.Set("access_log", c.logPath(target), n.Directive)
	c.config.Global.Differ(n.Directive, "access_log", "one line per connection or request, with fixed keys; log_format = \"json\" for JSON")
}

func (c *converter) logPath(target string) string {
	if target == "stdout" || target == "stderr" || strings.HasPrefix(target, "syslog:") || strings.HasPrefix(target, "/") {
		return target
	}
	return "/var/log/mcplb/" + target[strings.LastIndexByte(target, '/')+1:]
}

// resolver translates the name servers.
func resolver(c *converter, n *node) {
	for _, a := range n.args {
		if key, value, ok := strings.Cut(a, "="); ok {
			if d, err := duration(value); key == "valid" && err == nil {
				c.config.Resolver.Set("max_ttl", d, n.Directive)
				c.config.Resolver.Differ(n.Directive, "max_ttl", "an answer counts for its TTL, and for this long at most")
			}
			continue
		}
		address := a
		if addr, err := netip.ParseAddr(strings.Trim(a, "[]")); err == nil {
			address = netip.AddrPortFrom(addr, 53).String()
		}
		if _, err := netip.ParseAddrPort(address); err != nil {
			n.Impossible("a name server has an IP address: %s", a)
			continue
		}
		c.config.Resolver.AddTo("nameservers", n.Directive, address)
	}
}

func resolverTimeout(c *converter, n *node) {
	if d, err := duration(n.arg(0)); err == nil && d > 0 {
		c.config.Resolver.Set("timeout", d, n.Directive)
	}
}

// handled are the directives that are translated where a request takes them.
var handled = words(`listen server_name location if set return rewrite proxy_pass proxy_set_header add_header proxy_hide_header proxy_connect_timeout
	proxy_read_timeout proxy_send_timeout proxy_timeout proxy_next_upstream proxy_next_upstream_tries proxy_bind proxy_socket_keepalive proxy_protocol
	proxy_ssl proxy_ssl_verify proxy_ssl_trusted_certificate proxy_ssl_certificate proxy_ssl_certificate_key proxy_ssl_name proxy_ssl_server_name proxy_ssl_protocols
	proxy_ssl_ciphers proxy_ssl_verify_depth proxy_ssl_session_reuse client_header_timeout client_body_timeout send_timeout keepalive_timeout keepalive_requests client_max_body_size large_client_header_buffers
	gzip gzip_types ssl ssl_certificate ssl_certificate_key ssl_protocols ssl_ciphers set_real_ip_from real_ip_header real_ip_recursive limit_req limit_conn limit_req_zone limit_conn_zone
	limit_req_status limit_conn_status limit_req_log_level limit_conn_log_level allow deny satisfy limit_except default_type charset map geo split_clients upstream server ssl_verify_client ssl_client_certificate ssl_crl ssl_verify_depth ssl_session_ticket_key http2 error_page`)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

// unmatched says why a directive that needs no counterpart with other arguments has none with
// these, or "".
func unmatched(n *node) string {
	first := n.arg(0)
	switch n.name {
	case "proxy_redirect":
		if first != "off" && first != "default" {
			return "Location passes as the server writes it"
		}
	case "proxy_pass_request_headers", "proxy_pass_request_body":
		if first == "off" {
			return "what a client sends is passed on"
		}
	case "merge_slashes", "ignore_invalid_headers":
		if first == "off" {
			return needless[n.name]
		}
	case "proxy_store":
		if first != "off" {
			return needless[n.name]
		}
	case "proxy_intercept_errors":
		if first == "on" {
			return "responses of servers pass as they are, without a page"
		}
	}
	return ""
}

// needless are the directives that need no counterpart, with the reason. A new one is
// one entry.
var needless = map[string]string{
	"sendfile": "no files are served", "tcp_nopush": "the engine's own", "tcp_nodelay": "the engine's own", "aio": "no files are served", "directio": "no files are served", "open_file_cache": "no files are served",
	"open_file_cache_valid": "no files are served", "open_file_cache_min_uses": "no files are served", "open_file_cache_errors": "no files are served", "server_tokens": "responses name no version",
	"types": "no files are served", "types_hash_max_size": "nginx's own", "types_hash_bucket_size": "nginx's own", "server_names_hash_bucket_size": "nginx's own", "server_names_hash_max_size": "nginx's own",
	"variables_hash_max_size": "nginx's own", "variables_hash_bucket_size": "nginx's own", "map_hash_bucket_size": "nginx's own", "map_hash_max_size": "nginx's own", "proxy_headers_hash_max_size": "nginx's own", "proxy_headers_hash_bucket_size": "nginx's own",
	"log_format": "the keys of mcplb's access log are fixed", "error_log": "mcplb logs to standard error", "log_not_found": "no files are served", "log_subrequest": "there are none", "default_type": "responses pass as they come",
	"proxy_http_version": "servers are spoken to in HTTP/1.1", "proxy_buffering": "nothing is held back", "proxy_request_buffering": "bodies pass as they come", "proxy_buffers": "the engine's own", "proxy_buffer_size": "the engine's own",
	"proxy_busy_buffers_size": "the engine's own", "proxy_max_temp_file_size": "nothing is buffered on disk", "proxy_temp_file_write_size": "nothing is buffered on disk", "proxy_temp_path": "nothing is buffered on disk", "client_body_temp_path": "nothing is buffered on disk",
	"fastcgi_temp_path": "there is no FastCGI", "uwsgi_temp_path": "there is no uwsgi", "scgi_temp_path": "there is no SCGI", "client_body_buffer_size": "the engine's own", "client_header_buffer_size": "the engine's own", "client_body_in_file_only": "nothing is buffered on disk",
	"client_body_in_single_buffer": "the engine's own", "proxy_pass_request_headers": "they pass", "proxy_pass_request_body": "bodies pass", "proxy_ignore_client_abort": "a client that disconnects is shown to the server at once", "proxy_intercept_errors": "responses of servers pass as they are",
	"proxy_redirect": "Location passes as the server wrote it", "proxy_cache_bypass": "nothing is cached", "proxy_no_cache": "nothing is cached", "proxy_store": "nothing is stored", "proxy_pass_header": "headers of responses pass",
	"reset_timedout_connection": "the engine's own", "lingering_close": "the engine's own", "lingering_time": "the engine's own", "lingering_timeout": "the engine's own", "chunked_transfer_encoding": "the engine's own", "keepalive_disable": "browsers of today have no need", "keepalive_min_timeout": "the engine's own", "keepalive_time": "requests_per_connection bounds a connection",
	"gzip_vary": "always", "gzip_min_length": "1 KiB", "gzip_comp_level": "the engine's own", "gzip_buffers": "the engine's own", "gzip_http_version": "the engine's own", "gzip_proxied": "requests of proxies are compressed, too", "gzip_disable": "browsers of today have no need", "gzip_static": "no files are served", "gunzip": "responses pass as they come",
	"ssl_session_cache": "sessions are in tickets", "ssl_session_timeout": "a day", "ssl_session_tickets": "tickets have keys that change daily", "ssl_prefer_server_ciphers": "the suites are all good", "ssl_dhparam": "ECDHE alone", "ssl_ecdh_curve": "the usual curves", "ssl_stapling": "no OCSP", "ssl_stapling_verify": "no OCSP", "ssl_buffer_size": "the engine's own",
	"ssl_conf_command": "the suites are all good", "ssl_early_data": "no early data is taken", "ssl_handshake_timeout": "10 s", "ssl_stapling_responder": "no OCSP", "ssl_trusted_certificate": "no OCSP",
	"merge_slashes": "routes compare the canonical path", "absolute_redirect": "redirects to a path have the host and the port", "port_in_redirect": "redirects to a path have the port of the listener, or none", "server_name_in_redirect": "redirects to a path have the host of the request, or the name", "underscores_in_headers": "they pass, except those like X_Forwarded_For", "ignore_invalid_headers": "invalid headers are refused",
	"rewrite_log": "the access log has the route", "uninitialized_variable_warn": "there are no variables", "recursive_error_pages": "a page has no page", "msie_padding": "nothing for browsers of old", "if_modified_since": "no files are served", "etag": "no files are served", "max_ranges": "no files are served", "output_buffers": "no files are served", "postpone_output": "nothing is held back",
	"root": "no files are served", "index": "no files are served", "autoindex": "no files are served", "preread_timeout": "10 s", "preread_buffer_size": "16 KiB", "proxy_buffer": "the engine's own", "proxy_protocol_timeout": "5 s", "variables_hash": "nginx's own", "http2_max_concurrent_streams": "http2_streams", "http2_recv_buffer_size": "the engine's own", "http2_body_preread_size": "the engine's own", "http2_chunk_size": "the engine's own", "http2_idle_timeout": "timeout_keepalive", "http2_max_field_size": "max_header", "http2_max_header_size": "max_header", "http2_max_requests": "requests_per_connection", "http2_recv_timeout": "timeout_client",
	"http3": "no QUIC", "quic_retry": "no QUIC", "send_lowat": "the engine's own", "read_ahead": "no files are served", "proxy_next_upstream_timeout": "timeout_connect and retries bound it", "proxy_send_lowat": "the engine's own", "proxy_ssl_session_reuse": "always", "connection_pool_size": "the engine's own", "request_pool_size": "the engine's own", "client_body_timeout": "min_body_rate",
}
