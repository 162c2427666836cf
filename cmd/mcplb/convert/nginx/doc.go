// Package nginx reads configurations of nginx (1.22 and near it) and translates them
// into lb.toml.
//
//	config := lb.NewConfig("nginx")
//	err := nginx.Convert(config, nginx.System(), "nginx.conf")
//
// Every directive is accounted for: what no table of this package knows is named as not
// possible. The lines of blocks such as map and types are parameters of their
// directive. The grammar is read here as ngx_conf_read_token reads it: the
// lexer of nginx-go-crossplane forgets which words were quoted, leaves escapes as they
// are, reads a file once that is included in two places, and drops directives with a
// wrong number of arguments.
//
// nginx inherits by level: a level with a proxy_set_header (add_header, limit_req, allow
// ...) of its own inherits none of them. scope.all has that rule, once.
package nginx
