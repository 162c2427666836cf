package admin

import "strings"

// elsewhere says what there is in place of commands of HAProxy that this socket does not
// have, by their first words: operators type them from memory. docs/migrating.md has the
// table for readers, and its test compares the two.
var elsewhere = []struct{ words, instead string }{
	{"show sess", "mcplb connections"},
	{"shutdown session", "mcplb kill"},
	{"show table", "mcplb sticky BACKEND, and mcplb bans"},
	{"clear table", "mcplb unban"},
	{"set table", "mcplb ban"},
	{"add server", "mcplb add"},
	{"del server", "mcplb remove"},
	{"disable health", "mcplb maint, which also ends the server's checks"},
	{"enable health", "mcplb ready"},
	{"disable frontend", "take it out of the file, then mcplb reload"},
	{"enable frontend", "write it into the file, then mcplb reload"},
	{"shutdown frontend", "take it out of the file, then mcplb reload"},
	{"set maxconn global", "write global.maxconn, then mcplb reload"},
	{"set maxconn frontend", "write global.maxconn, or the servers' maxconn, then mcplb reload"},
	{"set rate-limit", "write ratelimit.global_connection_rate, then mcplb reload"},
	{"set ssl", "write the certificate's file, then mcplb reload"},
	{"commit ssl", "write the certificate's file, then mcplb reload"},
	{"show ssl", "mcplb tls-check lb.toml"},
	{"add map", "write a route, then mcplb reload"},
	{"set map", "write a route, then mcplb reload"},
	{"add acl", "write a route, or allow and deny, then mcplb reload; mcplb ban refuses sources"},
	{"show errors", "reason= and detail= in the access log"},
	{"show resolvers", "mcplb status, and mcplb_server_name_* at /metrics"},
	{"show peers", "mcplb status -fleet"},
	{"show startup-logs", "standard error, where the service manager keeps it"},
	{"show activity", "/metrics of the admin address"},
	{"show pools", "/metrics of the admin address"},
	{"show fd", "/metrics of the admin address"},
	{"reload", "mcplb reload"},
	{"show proc", "mcplb status"},
}

// advice is a line about a command that this socket does not have; "" if there is nothing
// like it.
func advice(words []string) string {
	command := strings.Join(words, " ") + " "
	for _, e := range elsewhere {
		if strings.HasPrefix(command, e.words+" ") {
			return "In mcplb: " + e.instead + "\n"
		}
	}
	return ""
}
