package haproxy

import "mcplb/cmd/mcplb/convert/lb"

// What asks for passwords is refused: it would be open otherwise. Nobody has a password
// that is right, so http_auth never holds, and "http-request auth" denies.

// noPasswords is the reason of what is not possible because of that.
const noPasswords = "mcplb asks for no passwords: what asks for one is refused, not open"

// noCertificates is that of conditions on certificates of clients, where these are optional:
// nobody counts as one who has shown some.
const noCertificates = "mcplb's routes have no condition on certificates of clients: what wants one is refused, not open"

func authAction(_ *group, l *line, _ []string) (step, error) {
	return step{ends: true, apply: func(t *lb.Table) error {
		l.Impossible(noPasswords)
		t.Set("deny", true)
		t.Comment("deny", l.Place.String()+": "+noPasswords)
		return nil
	}}, nil
}

// authenticated evaluates http_auth.
func authenticated(c *criteria, _ pattern) (condition, error) {
	c.note(noPasswords)
	return constant(false), nil
}

// noted accounts for what differs in the condition of a line, for a table.
func noted(l *line, t *lb.Table, notes []string) {
	for _, note := range notes {
		if note == noPasswords || note == noCertificates {
			l.Impossible("%s", note)
		} else {
			t.Differ(l.Directive, "", "%s", note)
		}
	}
}
