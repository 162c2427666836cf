package haproxy

import (
	"net"
	"slices"
	"strings"
)

// facilities are those of syslog that HAProxy and mcplb name alike, and renamed those that they
// do not.
var (
	facilities = strings.Fields("kern user mail daemon auth lpr news uucp cron ftp ntp audit alert local0 local1 local2 local3 local4 local5 local6 local7")
	renamed    = map[string]string{"syslog": "intern", "auth2": "authpriv", "cron2": "clock"}
)

// facilityName returns mcplb's name of a facility, or "" if the word is none.
func facilityName(word string) string {
	if slices.Contains(facilities, word) {
		return word
	}
	return renamed[word]
}

// accessLog makes the target of a log line the access log.
func (c *converter) accessLog(l *line) {
	target, facility := l.arg(1), ""
	for _, w := range l.args(2) {
		if name := facilityName(w); name != "" {
			facility = name
			break
		}
	}
	if facility == "" && target != "stdout" && target != "stderr" {
		l.Impossible("it names no facility of syslog")
		return
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
