package haproxy

import (
	"net"
	"strings"
)

// accessLog makes the target of a log line the access log.
func (c *converter) accessLog(l *line) {
	target, facility := l.arg(1), ""
	for i, w := range l.words {
		if i >= 2 && w != "len" && w != "format" && l.words[i-1] != "len" && l.words[i-1] != "format" {
			facility = w
			break
		}
	}
	log := ""
	switch {
	case target == "stdout" || target == "stderr":
		log = target
	case strings.HasPrefix(target, "/"):
		log = "syslog:facility=" + facility
	case strings.Contains(target, "@") || strings.HasPrefix(target, "${"):
		l.Impossible("mcplb logs to a file, stdout, stderr or syslog")
		return
	default:
		host, port, err := net.SplitHostPort(strings.Trim(target, "[]"))
		if err != nil {
			host, port = strings.Trim(target, "[]"), "514"
		}
		log = "syslog:server=" + net.JoinHostPort(host, port) + ",facility=" + facility
	}
	if before := c.config.Global.Get("access_log"); before != nil && before != log {
		c.config.Global.Differ(l.Directive, "access_log", "there is one access log")
		return
	}
	c.config.Global.Set("access_log", log, l.Directive)
	c.config.Global.Differ(l.Directive, "access_log", "one line per connection or request, with fixed keys; mcplb's own log goes to standard error")
}

// base is the directory in which relative names of files are looked for.
func (c *converter) base(l *line) string {
	l.Translated()
	return l.arg(1)
}
