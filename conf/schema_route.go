package conf

import (
	"net/netip"
	"time"
)

// The routes of lb.toml, key by key, as in schema.go.

var routeSection = section[Route]{"[[frontend.NAME.route]]", []field[Route]{
	key("sni", oneOrMore(sniPattern), nil, func(r *Route) *[]string { return &r.SNI }).only(ModeTCP),
	key("priority", integer(-1_000_000, 1_000_000), 0, func(r *Route) *int { return &r.Priority }),
	key("host", oneOrMore(hostPattern), nil, func(r *Route) *[]string { return &r.Host }),
	key("path", optionalWord(routePath), "", func(r *Route) *string { return &r.Path }),
	key("path_exact", optionalWord(routePath), "", func(r *Route) *string { return &r.PathExact }),
	key("trailing_slash", oneOf(AnySlash, WithSlash, WithoutSlash), AnySlash, func(r *Route) *TrailingSlash { return &r.Slash }),
	key("methods", oneOrMore(routeMethod), nil, func(r *Route) *[]string { return &r.Methods }),
	key("headers", headerMatches, nil, func(r *Route) *[]HeaderMatch { return &r.Headers }),
	key("source", oneOrMore(prefix), nil, func(r *Route) *[]netip.Prefix { return &r.Source }),
	key("mcp_method", oneOrMore(mcpMethod), nil, func(r *Route) *[]string { return &r.MCPMethod }),
	key("mcp_name", oneOrMore(mcpName), nil, func(r *Route) *[]string { return &r.MCPName }),

	key("not_host", oneOrMore(hostPattern), nil, func(r *Route) *[]string { return &r.Not.Host }),
	key("not_path", oneOrMore(routePath), nil, func(r *Route) *[]string { return &r.Not.Path }),
	key("not_path_exact", oneOrMore(routePath), nil, func(r *Route) *[]string { return &r.Not.PathExact }),
	key("not_methods", oneOrMore(routeMethod), nil, func(r *Route) *[]string { return &r.Not.Methods }),
	key("not_headers", headerMatches, nil, func(r *Route) *[]HeaderMatch { return &r.Not.Headers }),
	key("not_source", oneOrMore(prefix), nil, func(r *Route) *[]netip.Prefix { return &r.Not.Source }),
	key("not_mcp_method", oneOrMore(mcpMethod), nil, func(r *Route) *[]string { return &r.Not.MCPMethod }),
	key("not_mcp_name", oneOrMore(mcpName), nil, func(r *Route) *[]string { return &r.Not.MCPName }),

	key("backend", text, "", func(r *Route) *string { return &r.Backend }),
	key("endpoint", oneOf(EndpointHTTP, EndpointWS, EndpointSSE), EndpointHTTP, func(r *Route) *Endpoint { return &r.Endpoint }),
	key("deny", boolean, false, func(r *Route) *bool { return &r.Deny }),
	key("allow", boolean, false, func(r *Route) *bool { return &r.Allow }),
	optional("respond", &respondSection, func(r *Route) **Respond { return &r.Respond }),
	optional("redirect", &redirectSection, func(r *Route) **Redirect { return &r.Redirect }),

	key("strip_prefix", optionalWord(routePath), "", func(r *Route) *string { return &r.StripPrefix }),
	key("add_prefix", optionalWord(routePath), "", func(r *Route) *string { return &r.AddPrefix }),
	key("set_request_headers", headerValues, nil, func(r *Route) *[]HeaderValue { return &r.SetRequestHeaders }),
	key("add_request_headers", headerValues, nil, func(r *Route) *[]HeaderValue { return &r.AddRequestHeaders }),
	key("remove_request_headers", oneOrMore(changeableField), nil, func(r *Route) *[]string { return &r.RemoveRequestHeaders }),
	key("set_response_headers", headerValues, nil, func(r *Route) *[]HeaderValue { return &r.SetResponseHeaders }),
	key("add_response_headers", headerValues, nil, func(r *Route) *[]HeaderValue { return &r.AddResponseHeaders }),
	key("remove_response_headers", oneOrMore(changeableField), nil, func(r *Route) *[]string { return &r.RemoveResponseHeaders }),

	key("timeout_server", inherited(timeout), nil, func(r *Route) **time.Duration { return &r.TimeoutServer }),
	key("timeout_stream", inherited(timeout), nil, func(r *Route) **time.Duration { return &r.TimeoutStream }),
	key("max_body", inherited(size(true, 1, 1024*gigabyte)), nil, func(r *Route) **int64 { return &r.MaxBody }),
	key("compress", inherited(listOf(mediaType, `["application/json"]`)), nil, func(r *Route) **[]string { return &r.Compress }),
	key("cookie", cookieName, "", func(r *Route) *string { return &r.Cookie }),
	several("limit", &limitSection, func(r *Route) *[]Limit { return &r.Limits }),
}}

var respondSection = section[Respond]{"[frontend.NAME.route.respond]", []field[Respond]{
	key("status", integer(200, 599), 200, func(r *Respond) *int { return &r.Status }),
	key("body", prose, "", func(r *Respond) *string { return &r.Body }),
	key("content_type", fieldValue, "text/plain", func(r *Respond) *string { return &r.ContentType }),
}}

var redirectSection = section[Redirect]{"[frontend.NAME.route.redirect]", []field[Redirect]{
	required("to", redirectTarget, `"https://{host}{uri}"`, func(r *Redirect) *string { return &r.To }),
	key("status", redirectStatus, 308, func(r *Redirect) *int { return &r.Status }),
}}

var limitSection = section[Limit]{"[[frontend.NAME.route.limit]]", []field[Limit]{
	required("key", limitKey, `"source"`, func(l *Limit) *LimitKey { return &l.Key }),
	key("rate", requestRate, 0, func(l *Limit) *float64 { return &l.Rate }),
	key("burst", count, 0, func(l *Limit) *int { return &l.Burst }),
	key("concurrency", count, 0, func(l *Limit) *int { return &l.Concurrency }),
	key("over", oneOf(Delay, Reject), Delay, func(l *Limit) *OverMessage { return &l.Over }),
}}
